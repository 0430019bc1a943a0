package cogs

import (
	"math"
	"strconv"
)

// Shares counts frequencies by kind, over one network or several of one D.
type Shares struct {
	Networks    int          `json:"networks"`
	Frequencies int          `json:"frequencies"` // (D−1)/2 a network
	Robust      map[Kind]int `json:"kinds"`
	Near        int          `json:"near"`   // of Kind6, those near z_ν=i
	Orders      map[int]int  `json:"orders"` // order: frequencies
	// Compatible counts those that the authors' rule finds factorable.
	Compatible map[Kind]int `json:"authors_rule"`
	Factorable int          `json:"factorable"`
}

// Count counts the frequencies of networks of one D.
func Count(f ...*Factorisation) Shares {
	s := Sum()
	for _, one := range f {
		s.Networks++
		for _, k := range one.Frequencies {
			s.Frequencies++
			s.Orders[k.Order()]++
			s.Robust[k.Robust.Kind]++
			if k.Robust.Near {
				s.Near++
			}
			if k.Compatible.Factorable {
				s.Factorable++
				s.Compatible[k.Compatible.Kind()]++
			}
		}
	}
	return s
}

// Sum adds up counts, such as those of a sweep's trials.
func Sum(all ...Shares) Shares {
	sum := Shares{Robust: map[Kind]int{}, Orders: map[int]int{}, Compatible: map[Kind]int{}}
	for _, s := range all {
		sum.Networks += s.Networks
		sum.Frequencies += s.Frequencies
		sum.Near += s.Near
		sum.Factorable += s.Factorable
		for k, n := range s.Robust {
			sum.Robust[k] += n
		}
		for k, n := range s.Compatible {
			sum.Compatible[k] += n
		}
		for k, n := range s.Orders {
			sum.Orders[k] += n
		}
	}
	return sum
}

// Interval is a share with its 95 % interval.
type Interval struct {
	Share, Low, High float64
}

// Wilson is n of all with Wilson's 95 % interval; NaN of none.
func Wilson(n, all int) Interval {
	if all == 0 {
		nan := math.NaN()
		return Interval{nan, nan, nan}
	}
	const z = 1.959963984540054
	p, m := float64(n)/float64(all), float64(all)
	centre := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return Interval{p, max(0, centre-half), min(1, centre+half)}
}

// Holds reports whether a share lies inside.
func (i Interval) Holds(share float64) bool { return i.Low <= share && share <= i.High }

// String is "42.7 % [33.9, 52.1]", or "–" of none.
func (i Interval) String() string {
	if math.IsNaN(i.Share) {
		return "–"
	}
	f := func(v float64) string { return strconv.FormatFloat(100*v, 'f', 1, 64) }
	return f(i.Share) + " % [" + f(i.Low) + ", " + f(i.High) + "]"
}

// Published is a row of shares that has been reported.
type Published struct {
	D      int
	Source string
	Share  map[Kind]float64
}

// PublishedShares are of arXiv 2410.01779 with q = 512 and decay 5e-5, and of the
// notebook in its repository. They disagree within order 6: the split depends on
// the classifier. The share of z_ν=i*z_ξ, all of order 4, is the stable number.
var PublishedShares = []Published{
	published(23, "paper", 47.07, 11.3, 39.80, 1.82),
	published(71, "paper", 72.57, 4.0, 21.14, 2.29),
	published(127, "paper", 82.96, 2.25, 14.13, 0.66),
	published(23, "notebook", 44.36, 11.09, 24.00, 20.55),
	published(71, "notebook", 73.14, 4.00, 18.86, 4.00),
	published(127, "notebook", 90.07, 1.00, 8.59, 0.35),
}

func published(d int, source string, four, sixI, six, other float64) Published {
	return Published{d, source, map[Kind]float64{Kind4: four / 100, Kind6i: sixI / 100, Kind6: six / 100, Other: other / 100}}
}
