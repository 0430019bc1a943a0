package record

import (
	"context"
	"fmt"
	"math"
	"time"
)

// Limit is Count units per Per, all of which may come at once.
type Limit struct {
	Count int // ≥ 1
	Per   time.Duration
}

// longest is what no time that is reckoned with may exceed, so that none overflows.
const longest = 10 * 365 * 24 * time.Hour

// interval is T, the time that one unit takes, in nanoseconds, rounded up, so that
// rounding lets nothing through.
func (l Limit) interval() (int64, error) {
	if l.Count < 1 || l.Per <= 0 || l.Per > longest {
		return 0, fmt.Errorf("limit: %d per %s is no rate: give at least 1, per a time of at most %d hours", l.Count, l.Per, int(longest.Hours()))
	}
	return (int64(l.Per) + int64(l.Count) - 1) / int64(l.Count), nil
}

// Take asks for cost units of a key's limit, and takes them if they are there. Over
// any time t, all processes of the store together get at most Count·(1 + t/Per)
// units. If ok, wait is the time until the whole limit is there again; if not, until
// so many units will be, if nobody else comes. A cost of 0 asks whether a key is in
// debt.
//
// A negative cost is charged in any case: -cost units that were used, and known only
// afterwards. They may leave the key in debt.
//
// It is the generic cell rate algorithm (ITU-T I.371): a key has one number, the
// theoretical arrival time tat, and cost units conform at the time t if
// max(tat, t) + cost·T ≤ t + Count·T, which then is its new value. One statement
// reads, decides and writes.
func (s *Store) Take(ctx context.Context, key string, cost int, limit Limit) (ok bool, wait time.Duration, err error) {
	t, err := limit.interval()
	if err != nil {
		return false, 0, err
	}
	slack := int64(limit.Count) * t
	if cost > limit.Count {
		return false, 0, fmt.Errorf("limit: %d units are asked for and at most %d ever are there: ask for less, or raise the limit", cost, limit.Count)
	}
	if cost < 0 {
		cost, slack = -cost, math.MaxInt64/4 // of any time there is to come
	}
	if math.Abs(float64(cost))*float64(t) > float64(longest) {
		return false, 0, fmt.Errorf("limit: %d units at %d per %s would take longer than %d hours", cost, limit.Count, limit.Per, int(longest.Hours()))
	}
	if err := s.prepare(ctx); err != nil {
		return false, 0, err
	}
	step := int64(cost) * t
	now, args := s.now()
	// at is the time of the statement, and ok its outcome. What is not there yet conforms.
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
		return true, time.Duration(max(0, tat-at)), nil
	}
	return false, time.Duration(max(tat, at) + step - slack - at), nil
}
