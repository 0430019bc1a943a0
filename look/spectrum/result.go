package spectrum

import (
	"bytes"
	"math"
	"strconv"
)

// Num is a number in JSON, and null where it is not finite.
type Num float64

var nan = Num(math.NaN())

func (n Num) MarshalJSON() ([]byte, error) {
	f := float64(n)
	if f-f != 0 {
		return []byte("null"), nil
	}
	return strconv.AppendFloat(nil, f, 'g', -1, 64), nil
}

func (n *Num) UnmarshalJSON(b []byte) error {
	if bytes.Equal(b, []byte("null")) {
		*n = nan
		return nil
	}
	f, err := strconv.ParseFloat(string(b), 64)
	*n = Num(f)
	return err
}

func defined(f float64) *Num { n := Num(f); return &n }
func undefined() *Num        { return defined(math.NaN()) }

func nums(f []float64) []Num {
	out := make([]Num, len(f))
	for i, v := range f {
		out[i] = Num(v)
	}
	return out
}

// Result is what the contract calls spectrum. What is undefined is null: ratios
// to a zero norm, angles where the base has no gap.
type Result struct {
	Mode Mode   `json:"mode"`
	With string `json:"with,omitempty"` // what computed it: randomised, gonum, or a LAPACK's name
	K    int    `json:"k"`

	// The leading k singular values, descending.
	Sigma0 []Num `json:"sigma0"`
	Sigma1 []Num `json:"sigma1"`

	// NSS = ‖σ(W1)−σ(W0)‖₂/‖σ(W0)‖₂ and the part of it that rounding may be,
	// in mode exact; else an interval: the leading k without their errors below,
	// ‖ΔW‖_F/‖W0‖_F (Mirsky) above.
	NSS         *Num    `json:"nss,omitempty"`
	NSSFloor    *Num    `json:"nss_floor,omitempty"`
	NSSInterval *[2]Num `json:"nss_interval,omitempty"`

	// Principal angles between the leading k left and right subspaces, degrees,
	// descending. AnglesUBound[i] is null where AnglesU[i] is above ten times
	// AngleError; elsewhere the angle is not resolved, and this is its upper bound.
	AnglesU      []Num `json:"angles_u"`
	AnglesV      []Num `json:"angles_v"`
	AnglesUBound []Num `json:"angles_u_bound"`
	AnglesVBound []Num `json:"angles_v_bound"`
	// AngleError bounds the error of every angle, degrees; null without a gap.
	AngleError Num `json:"angle_error"`
	// Gap is σ_k − σ_{k+1} of the base.
	Gap Num `json:"gap"`

	// Srank is ‖ΔW‖_F²/‖ΔW‖₂².
	Srank Num `json:"srank"`
	// UpdateRank is #σ(ΔW) > σ_1·max(m,n)·2⁻²³, and its share of min(m,n). Where
	// the leading singular values do not decide it, it is null and
	// UpdateRankAtLeast is a lower bound.
	UpdateRank        *Num `json:"update_rank"`
	UpdateRankShare   *Num `json:"update_rank_share"`
	UpdateRankAtLeast int  `json:"update_rank_at_least,omitempty"`

	// EnergyIn is ‖UᵀΔWV‖_F²/‖ΔW‖_F² for the base's leading k, EnergyOut
	// ‖(I−UUᵀ)ΔW(I−VVᵀ)‖_F²/‖ΔW‖_F². The baselines are those of an update
	// without direction: k²/mn and (1−k/m)(1−k/n).
	EnergyIn          Num `json:"energy_in"`
	EnergyInBaseline  Num `json:"energy_in_baseline"`
	EnergyOut         Num `json:"energy_out"`
	EnergyOutBaseline Num `json:"energy_out_baseline"`

	Certificate  *Certificates `json:"certificate,omitempty"`
	Inequalities []Inequality  `json:"inequalities,omitempty"`
	Warnings     []string      `json:"warnings,omitempty"`

	// Update is the leading right subspace of ΔW, for Similarity.
	Update *Subspace `json:"-"`
}

// MaxAngle is the largest principal angle of either side in degrees. resolved
// is false where the number is an upper bound; ok is false where there is none.
func (r *Result) MaxAngle() (degrees float64, resolved, ok bool) {
	if len(r.AnglesU) == 0 {
		return 0, false, false
	}
	resolved = true
	for _, side := range [][2]Num{{r.AnglesU[0], r.AnglesUBound[0]}, {r.AnglesV[0], r.AnglesVBound[0]}} {
		angle, bound := float64(side[0]), float64(side[1])
		if !math.IsNaN(bound) {
			angle = bound
		}
		if angle >= degrees {
			degrees, resolved = angle, math.IsNaN(bound)
		}
	}
	return degrees, resolved, true
}

// Certificates are how far to trust the singular triplets of the pair.
type Certificates struct {
	Base  Certificate `json:"base"`
	Tuned Certificate `json:"tuned"`
}

// Certificate is measured on the computed triplets (σ_i, u_i, v_i), i ≤ k.
type Certificate struct {
	// Rho is the largest ρ_i = max(‖Wv_i−σ_iu_i‖, ‖Wᵀu_i−σ_iv_i‖): a singular
	// value lies within ρ_i of σ_i.
	Rho Num `json:"rho"`
	// Residual is the spectral norm of all k residuals together, which, unlike
	// the largest of them, bounds the error of the subspaces.
	Residual Num `json:"residual"`
	// TailEnergy is ‖W‖_F² − ‖QᵀW‖_F²: what the computed subspace misses.
	TailEnergy Num `json:"tail_energy"`
	// Tau is the norm of W without its k triplets, an estimate of σ_{k+1} from below.
	Tau Num `json:"tau"`
	Gap Num `json:"gap"`
	// Separated is 1.06·τ + ρ < σ_k.
	Separated bool `json:"separated"`
	// NearestK is, where not separated, the nearest k that would be, or else the
	// nearest with a larger relative gap; null if there is none.
	NearestK *int `json:"nearest_k"`
}
