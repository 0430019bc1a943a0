package record

import (
	"fmt"
	"strings"
)

var keepNames = []struct {
	name string
	k    Keep
}{{"text", KeepText}, {"confidence", KeepConfidence}, {"alternatives", KeepAlternatives}}

// ParseKeep reads a list such as "text,confidence"; "none" and "all" stand for
// themselves.
func ParseKeep(s string) (Keep, error) {
	switch s {
	case "none":
		return 0, nil
	case "all":
		return KeepAll, nil
	}
	var k Keep
next:
	for part := range strings.SplitSeq(s, ",") {
		for _, n := range keepNames {
			if n.name == strings.TrimSpace(part) {
				k |= n.k
				continue next
			}
		}
		return 0, fmt.Errorf("%q is nothing that can be kept: give some of text, confidence and alternatives, joined by commas, or none or all", part)
	}
	return k, nil
}

// String is what ParseKeep reads.
func (k Keep) String() string {
	var parts []string
	for _, n := range keepNames {
		if k&n.k != 0 {
			parts = append(parts, n.name)
		}
	}
	if parts == nil {
		return "none"
	}
	return strings.Join(parts, ",")
}
