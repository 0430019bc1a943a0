package cli

import (
	"errors"
	"strings"
	"testing"
)

// Lost spans are told once to whoever has no log, and to the log each time.
func TestLostSpansAreSaid(t *testing.T) {
	var out strings.Builder
	p := &tracingPart{app: &app{err: &out}}
	p.lost(errors.New("no collector"))
	p.lost(errors.New("no collector"))
	if strings.Count(out.String(), "spans are lost: no collector") != 1 {
		t.Errorf("said %q", &out)
	}
	logged := 0
	p.log = func(error) { logged++ }
	p.lost(errors.New("no collector"))
	p.lost(errors.New("no collector"))
	if logged != 2 {
		t.Errorf("%d of 2 are in the log", logged)
	}
}
