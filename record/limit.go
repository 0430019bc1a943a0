package record

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Limit is a rate, with what may come at once.
type Limit struct {
	Rate  float64 // a second, > 0
	Burst int     // at once, ≥ 1
}

// interval is T, the time that one unit takes, in nanoseconds, rounded up, so that
// rounding lets nothing through.
func (l Limit) interval() (int64, error) {
	t := math.Ceil(1e9 / l.Rate)
	// A burst must be within a year, so that no sum of times overflows.
	if !(l.Rate > 0) || l.Burst < 1 || !(t*float64(l.Burst) < 365*24*3600*1e9) {
		return 0, fmt.Errorf("limit: %v a second, %d at once, is no rate: give a positive rate and at least 1 at once, which a year must suffice for", l.Rate, l.Burst)
	}
	return int64(t), nil
}

// Take asks for cost units of a key's limit, and takes them if they are there. Over
// any time t, all processes of the store together get at most Burst + Rate·t. If ok
// is false, wait is how long it takes until so many will be there if nobody else
// comes.
//
// It is the generic cell rate algorithm (ITU-T I.371): a key has one number, the
// theoretical arrival time tat, and cost units conform at the time t if
// max(tat, t) + cost·T ≤ t + Burst·T, which then is its new value. One statement
// reads, decides and writes.
func (s *Store) Take(ctx context.Context, key string, cost int, limit Limit) (ok bool, wait time.Duration, err error) {
	t, err := limit.interval()
	if err != nil {
		return false, 0, err
	}
	if cost < 0 || cost > limit.Burst {
		return false, 0, fmt.Errorf("limit: %d at once are asked for and at most %d ever are there: ask for less, or raise the limit", cost, limit.Burst)
	}
	step, slack := int64(cost)*t, int64(limit.Burst)*t
	now, args := s.now()
	// A first taking conforms. at is the time of the statement, and ok its outcome.
	const next = `CASE WHEN orrery_limit.tat > excluded.at THEN orrery_limit.tat ELSE excluded.at END + CAST(? AS bigint)`
	query := `INSERT INTO orrery_limit (key, tat, at, ok) SELECT CAST(? AS text), n.t + CAST(? AS bigint), n.t, 1 FROM (SELECT ` + now + ` * 1000 AS t) n WHERE 1 = 1
		ON CONFLICT (key) DO UPDATE SET at = excluded.at,
			ok = CASE WHEN ` + next + ` <= excluded.at + CAST(? AS bigint) THEN 1 ELSE 0 END,
			tat = CASE WHEN ` + next + ` <= excluded.at + CAST(? AS bigint) THEN ` + next + ` ELSE orrery_limit.tat END
		RETURNING tat, at, ok`
	var tat, at, fits int64
	args = append([]any{clean(key), step}, append(args, step, slack, step, slack, step)...)
	if err := s.write.QueryRowContext(ctx, s.q(query), args...).Scan(&tat, &at, &fits); err != nil {
		return false, 0, s.fail("asking for a rate", err)
	}
	if fits == 1 {
		return true, 0, nil
	}
	return false, time.Duration(max(tat, at) + step - slack - at), nil
}
