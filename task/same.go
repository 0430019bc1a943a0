package task

import (
	"strings"

	"orrery/think/answer"
)

// sameAnswer reports whether a given answer is the wanted one, by the same keys
// that votes use.
func sameAnswer(want, given string) bool {
	return strings.TrimSpace(given) != "" && answer.Equal(want, given)
}
