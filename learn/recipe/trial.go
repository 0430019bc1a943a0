package recipe

import "context"

// Trial is implemented by Settings that can be one trial of a sweep: a training
// in memory, without a run folder, that comes to a small result.
type Trial interface {
	Settings
	// Trial trains and returns the result, which is kept as JSON: the same for the
	// same settings, at any number of threads. An error that is not ctx's is the
	// trial's own end (the loss left the numbers, a setting has no meaning): it is
	// recorded and not tried again.
	Trial(ctx context.Context) (any, error)
}
