package cli

import (
	"strings"
	"testing"
)

func TestReportsHoldNoPasswords(t *testing.T) {
	for arg, want := range map[string]string{
		"http://me:secret@host:8000/v1":           "http://…@host:8000/v1",
		"--upstream=https://me:secret@host/a?b=1": "--upstream=https://…@host/a?b=1",
		"http://host:8000":                        "http://host:8000",
		"--file=a.json":                           "--file=a.json",
		"plain":                                   "plain",
	} {
		if got := strings.Join(withoutPasswords([]string{arg}), ""); got != want {
			t.Errorf("%s is shown as %s, want %s", arg, got, want)
		}
	}
}
