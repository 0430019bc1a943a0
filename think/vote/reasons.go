package vote

// StopReason says why a trace ended. It is set once, when it is decided, and
// never overwritten by a later end of stream or cancellation error.
type StopReason string

const (
	Running         StopReason = ""                 // not ended yet
	EOS             StopReason = "eos"              // the model ended its text
	StopString      StopReason = "stop_string"      // a stop string was generated
	Length          StopReason = "length"           // the trace's own cap or the context is full
	LowConfidence   StopReason = "low_confidence"   // a group fell below s
	Consensus       StopReason = "consensus"        // enough others agreed
	TokenBudget     StopReason = "token_budget"     // the run's tokens are spent
	Deadline        StopReason = "deadline"         // the run's time is spent
	ClientCancelled StopReason = "client_cancelled" // whoever asked has left
	UpstreamError   StopReason = "upstream_error"   // the generator failed
)

// Completed reports whether a trace that ended so came to its own end. Only
// completed traces vote; one cut by its own length cap counts as completed.
func (r StopReason) Completed() bool {
	return r == EOS || r == StopString || r == Length
}

// Exclusion says why a trace that ended does not vote.
type Exclusion string

const (
	Included         Exclusion = ""
	ExLowConfidence  Exclusion = "low_confidence"  // stopped for confidence
	ExBelowThreshold Exclusion = "below_threshold" // completed, but its measure is below s
	ExNoAnswer       Exclusion = "no_answer"       // completed without an answer
	ExUnscored       Exclusion = "unscored"        // completed without log-probabilities
	ExCancelled      Exclusion = "cancelled"       // consensus, budget, deadline or client
	ExError          Exclusion = "error"           // the generator failed
)

// Phase says what a trace is launched for.
type Phase string

const (
	Warmup Phase = "warmup" // runs to its end; s is made from these
	Final  Phase = "final"  // may be stopped
)

// Fallback labels an answer that no regular voter gave, from the best rung of
// the ladder to the last.
type Fallback string

const (
	NoFallback       Fallback = ""
	CompletedWarmups Fallback = "completed_warmups" // warm-ups, unfiltered
	CompletedOthers  Fallback = "completed_others"  // later traces, unfiltered
	Killed           Fallback = "killed"            // stopped traces that had finished a box
	NoAnswer         Fallback = "no_answer"         // nothing at all
)
