package cli

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
)

// onHangup calls f on each SIGHUP until stop is called, and says what came of
// it. While f fails, what was there before stays. f may have something to add.
func (a *app) onHangup(what string, f func() (more string, err error)) (stop func()) {
	hup, done := make(chan os.Signal, 1), make(chan struct{})
	signal.Notify(hup, syscall.SIGHUP)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-hup:
				if more, err := f(); err != nil {
					fmt.Fprintf(a.err, "orrery: SIGHUP: the %s stay as they were: %s\n", what, oneLine(err.Error()))
				} else if !a.quiet {
					fmt.Fprintf(a.err, "SIGHUP: %s read again%s\n", what, more)
				}
			case <-done:
				return
			}
		}
	})
	return func() {
		signal.Stop(hup)
		close(done)
		wg.Wait()
	}
}
