package audit

import "math"

// Version is that of the JSON object.
const Version = 1

// Result is everything that an audit found, as docs/json.md describes it. Its
// numbers are finite or nil, and the same inputs and options give the same
// bytes: no time, no order of work, no number of threads is in it. Lists are
// never nil where the field is always present.
type Result struct {
	Version int      `json:"version"`
	Tool    string   `json:"tool"`
	Args    []string `json:"args"`
	Inputs  []Input  `json:"inputs"` // the base, then each tuned checkpoint as given

	// Run is the comparison of the base with the first tuned checkpoint, of a
	// series with the last.
	Run
	Others    []Run      `json:"others,omitempty"` // the other tuned checkpoints against the base, in the order given
	Consensus *Consensus `json:"consensus"`        // nil for one tuned checkpoint
	Series    *Series    `json:"series"`           // nil without an order of checkpoints
	Warnings  []string   `json:"warnings"`
}

// Runs lists every comparison with the base in the order given.
func (r *Result) Runs() []*Run {
	var runs []*Run
	for i := range r.Others {
		runs = append(runs, &r.Others[i])
	}
	if r.Series != nil { // the series' last is the result's own
		return append(runs, &r.Run)
	}
	return append([]*Run{&r.Run}, runs...)
}

// Input is a checkpoint that was read.
type Input struct {
	Path    string      `json:"path"`
	Kind    string      `json:"kind"` // "checkpoint" or "adapter"
	Files   []InputFile `json:"files"`
	Params  int64       `json:"params"`  // elements of floating-point tensors; tied ones once
	Tensors int         `json:"tensors"` // tensors in the files
}

// InputFile is a file of a checkpoint.
type InputFile struct {
	Name   string  `json:"name"`
	SHA256 *string `json:"sha256,omitempty"` // where it was asked for
	Bytes  int64   `json:"bytes"`
}

// Run is one comparison: a tuned checkpoint with the base.
type Run struct {
	Tuned   string   `json:"tuned"` // path
	Pairing Pairing  `json:"pairing"`
	Totals  Totals   `json:"totals"`
	Tensors []Tensor `json:"tensors"` // pairs, in the order of their base names (numbers in names by value)
	Verdict Verdict  `json:"verdict"`
}

// Pairing says which tensor was compared with which, and what was not compared.
type Pairing struct {
	Matched       int        `json:"matched"` // pairs compared
	Renamed       []Renamed  `json:"renamed"`
	Tied          []Tied     `json:"tied"`    // counted once
	Missing       []Single   `json:"missing"` // in the base only
	Extra         []Single   `json:"extra"`   // in the tuned only
	ShapeMismatch []Mismatch `json:"shape_mismatch"`
	DTypeMismatch []Mismatch `json:"dtype_mismatch"` // still compared if both are floating-point
	Prefix        *string    `json:"prefix"`         // "-model." or "+model.": stripped from or added to the tuned names
}

// Renamed is a pair whose names differ.
type Renamed struct {
	Base  string `json:"base"`
	Tuned string `json:"tuned"`
}

// Tied is a tensor that is another one under a second name.
type Tied struct {
	Name string `json:"name"`
	With string `json:"with"`
	Why  string `json:"why"`
}

// Single is a tensor without a partner.
type Single struct {
	Name  string `json:"name"`
	DType string `json:"dtype"`
	Shape []int  `json:"shape"`
	N     int64  `json:"n"`
}

// Mismatch is a pair that differs in shape or type.
type Mismatch struct {
	Name  string `json:"name"`
	Base  string `json:"base"` // "[2 3]" or "BF16"
	Tuned string `json:"tuned"`
}

// Totals are over the compared tensors. Sparsities and norms are weighted by
// elements; spectra are unweighted over matrices.
type Totals struct {
	Tensors       int      `json:"tensors"`
	N             int64    `json:"n"`              // elements compared as floating point
	ComparedShare *float64 `json:"compared_share"` // n over the larger of both checkpoints' parameters
	ChangedBF16   int64    `json:"changed_bf16"`
	SparsityBF16  *float64 `json:"sparsity_bf16"`
	SparsityAbs   *float64 `json:"sparsity_abs1e5"`
	SparsityExact *float64 `json:"sparsity_exact"`
	ChangedRaw    int64    `json:"changed_raw"` // elements whose stored bytes differ, integers included
	OtherChanged  int      `json:"other_changed"`
	NonFinite     int64    `json:"nonfinite"` // elements, base and tuned together
	FroBase       *float64 `json:"fro_base"`  // over tensors that are finite in both
	Fro           *float64 `json:"fro"`
	Rel           *float64 `json:"rel"`
	MaxAbs        *float64 `json:"max_abs"`

	Matrices int   `json:"matrices"` // with a spectrum
	NSS      Stats `json:"nss"`      // upper ends where only an interval is known
	NSSLow   Stats `json:"nss_low"`  // lower ends
	AngleU   Stats `json:"angle_u"`  // of each matrix's largest, degrees
	AngleV   Stats `json:"angle_v"`
	SRank    Stats `json:"srank"`
	URank    Stats `json:"update_rank_share"`
	EnergyIn Stats `json:"energy_in"`

	Masks *MaskTotals `json:"masks"`
	Delta DeltaTotals `json:"delta"`
}

// Stats describe one number over matrices; nil if no matrix has it.
type Stats struct {
	Count  int      `json:"count"`
	Mean   *float64 `json:"mean"`
	Median *float64 `json:"median"`
	Max    *float64 `json:"max"`
}

// MaskTotals are unweighted over matrices.
type MaskTotals struct {
	K           int         `json:"k"`
	Alpha       float64     `json:"alpha"`
	Matrices    int         `json:"matrices"`
	Princ       OverlapMean `json:"princ"`
	Low         OverlapMean `json:"low"`
	PrincNotLow OverlapMean `json:"princ_not_low"`
}

// OverlapMean is the mean over matrices that have each number.
type OverlapMean struct {
	Observed  *float64 `json:"observed"`
	Baseline  *float64 `json:"baseline"`
	Null      *float64 `json:"null"`
	MinusNull *float64 `json:"minus_null"` // mean of observed-null where both exist
	// Above is the share of the Judged matrices whose overlap is above both α and
	// the null; judged are those that changed and have a null.
	Above  *float64 `json:"above"`
	Judged int      `json:"judged"`
}

// DeltaTotals is what a sparse update would take (command delta), before its header.
type DeltaTotals struct {
	Predicted int64    `json:"predicted"` // bytes
	Bound     *float64 `json:"iid_bound"` // n·H₂(p)/8 + c·b, bytes
	Dense     int64    `json:"dense"`     // bytes of the tuned tensors themselves
}

// Tensor is one pair.
type Tensor struct {
	Name      string   `json:"name"`  // in the base
	Layer     *int     `json:"layer"` // number of the block, nil outside
	Kind      string   `json:"kind"`  // "q_proj", "embed_tokens", "input_layernorm" …
	Shape     []int    `json:"shape"`
	DTypes    []string `json:"dtypes"` // base, tuned
	N         int64    `json:"n"`
	Float     bool     `json:"float"` // false: bytes were compared, nothing else is known
	Changed   *int64   `json:"changed_bf16"`
	Sparsity  *float64 `json:"sparsity_bf16"`
	SparseAbs *float64 `json:"sparsity_abs1e5"`
	Exact     *float64 `json:"sparsity_exact"`
	Raw       *int64   `json:"changed_raw"` // nil if the types differ
	NonFinite [2]int64 `json:"nonfinite"`   // base, tuned
	FroBase   *float64 `json:"fro_base"`
	Fro       *float64 `json:"fro"` // ‖ΔW‖_F
	Rel       *float64 `json:"rel"` // ‖ΔW‖_F/‖W0‖_F
	MaxAbs    *float64 `json:"max_abs"`
	Profile   *Profile `json:"profile"` // of matrices

	Masks    *Masks    `json:"masks"`
	Spectrum *Spectrum `json:"spectrum"`
	Parts    []Part    `json:"parts,omitempty"` // of a fused tensor, which has neither masks nor spectrum itself
	Delta    *Delta    `json:"delta"`
	Notes    []string  `json:"notes,omitempty"` // why something is nil
}

// Part is one matrix of a fused tensor.
type Part struct {
	Name     string    `json:"name"` // "q_proj" of a qkv_proj
	Shape    []int     `json:"shape"`
	Masks    *Masks    `json:"masks"`
	Spectrum *Spectrum `json:"spectrum"`
	Notes    []string  `json:"notes,omitempty"`
}

// Profile is the share of entries that changed, by row and by column: a moving
// mean over 3, then means of neighbours so that no list is longer than ProfileBins.
type Profile struct {
	Rows     []float64 `json:"rows"`
	Cols     []float64 `json:"cols"`
	HeadRows int       `json:"head_rows,omitempty"` // rows of one attention head
	HeadCols int       `json:"head_cols,omitempty"` // columns of one
}

// ProfileBins is the length of the longest profile.
const ProfileBins = 128

// Masks are the overlaps of the changed entries with two masks of the base
// that hold the share Alpha of the entries each: those of least magnitude, and
// those where the base's rank-K approximation is largest. Numbers of different
// K or Alpha can't be compared.
type Masks struct {
	K           int      `json:"k"`
	Alpha       float64  `json:"alpha"`
	Princ       *Overlap `json:"princ"`
	Low         *Overlap `json:"low"`
	PrincNotLow *Overlap `json:"princ_not_low"`
	Sigma       *float64 `json:"sigma"` // of the precision-only null: the update's standard deviation
}

// Overlap is the share of the changed entries that lie in a mask; what a
// random set would give; what an update independent of the weights would give
// for their precision alone.
type Overlap struct {
	Observed  *float64 `json:"observed"` // nil if nothing changed
	Baseline  *float64 `json:"baseline"`
	Null      *float64 `json:"null"` // nil unless the base is BF16
	MinusNull *float64 `json:"minus_null"`
}

// Spectrum is a matrix's singular values before and after, and what turned:
// package spectrum's findings.
type Spectrum struct {
	Mode        string      `json:"mode"`           // "top", "exact", "lora"
	With        string      `json:"with,omitempty"` // what computed it
	K           int         `json:"k"`
	Sigma0      []float64   `json:"sigma0"` // top k of the base, descending
	Sigma1      []float64   `json:"sigma1"`
	NSS         *float64    `json:"nss"`
	NSSInterval *[2]float64 `json:"nss_interval"` // where nss is not known
	NSSFloor    *float64    `json:"nss_floor"`    // exact mode: what rounding can make of no change
	AnglesU     []float64   `json:"angles_u"`     // degrees, descending; nil if the subspace is not determined
	AnglesV     []float64   `json:"angles_v"`
	// AnglesUBound[i] is not nil where angle i is not resolved: it is then at most this.
	AnglesUBound    []*float64    `json:"angles_u_bound"`
	AnglesVBound    []*float64    `json:"angles_v_bound"`
	AngleError      *float64      `json:"angle_error"` // degrees
	Gap             *float64      `json:"gap"`         // σ_k−σ_{k+1} of the base
	SRank           *float64      `json:"srank"`       // ‖ΔW‖_F²/‖ΔW‖₂²
	UpdateRank      *int          `json:"update_rank"`
	UpdateRankShare *float64      `json:"update_rank_share"`
	UpdateRankMin   int           `json:"update_rank_at_least,omitempty"` // where update_rank is not known
	EnergyIn        *float64      `json:"energy_in"`
	EnergyInBase    *float64      `json:"energy_in_baseline"` // k²/mn
	EnergyOut       *float64      `json:"energy_out"`
	EnergyOutBase   *float64      `json:"energy_out_baseline"` // (1−k/m)(1−k/n)
	Certificate     *Certificates `json:"certificate"`
	Inequalities    []Inequality  `json:"inequalities,omitempty"`
	Warnings        []string      `json:"warnings,omitempty"`
}

// Certificates are how far the top k of base and tuned can be trusted.
type Certificates struct {
	Base  Certificate `json:"base"`
	Tuned Certificate `json:"tuned"`
}

// Certificate is that of one decomposition.
type Certificate struct {
	Rho       *float64 `json:"rho"`         // largest residual: a singular value lies within it
	Residual  *float64 `json:"residual"`    // norm of all residuals together: it bounds the error of the subspaces
	Tail      *float64 `json:"tail_energy"` // ‖W‖_F²−‖QᵀW‖_F²
	Tau       *float64 `json:"tau"`         // norm of what is left
	Gap       *float64 `json:"gap"`
	Separated bool     `json:"separated"` // the k values found are the k largest
	NearestK  *int     `json:"nearest_k"` // a k with a larger relative gap, where not separated
}

// Inequality is a bound that theory gives, beside what was measured.
type Inequality struct {
	Name     string   `json:"name"`
	Says     string   `json:"says"`
	Measured *float64 `json:"measured"`
	Bound    *float64 `json:"bound"` // nil: the bound's conditions don't hold
	Holds    *bool    `json:"holds"`
}

// Delta is the cheapest lossless encoding of the change.
type Delta struct {
	Encoding  string `json:"encoding"`  // "none", "dense", "bitmap", "gap"
	Predicted int64  `json:"predicted"` // bytes
	Dense     int64  `json:"dense"`     // bytes of the tuned tensor itself
}

// Consensus compares the changed entries of several tuned checkpoints.
type Consensus struct {
	Runs []string `json:"runs"`
	Pairwise
	Histogram []int64           `json:"histogram"` // entries that changed in exactly i runs
	Tensors   []ConsensusTensor `json:"tensors"`
}

// Pairwise are square tables over runs: |A∩B|/|A∪B|; pq/(p+q−pq), that of
// random sets of those sizes; and that of independent updates which see the
// same weights in the same precision. The means are over pairs.
type Pairwise struct {
	Jaccard       [][]*float64 `json:"jaccard"`
	Baseline      [][]*float64 `json:"baseline"`
	Precision     [][]*float64 `json:"precision_only"`
	Mean          *float64     `json:"mean"`
	MeanBaseline  *float64     `json:"mean_baseline"`
	MeanPrecision *float64     `json:"mean_precision_only"`
}

// ConsensusTensor is one tensor that all runs have.
type ConsensusTensor struct {
	Name  string `json:"name"`
	Layer *int   `json:"layer"`
	Kind  string `json:"kind"`
	Pairwise
	Histogram []int64     `json:"histogram"`
	Rows      []float64   `json:"rows"` // mean of the masks by row, as in Profile
	Cols      []float64   `json:"cols"`
	Map       [][]float64 `json:"map"` // mean of the masks on a grid of at most MapCells a side
}

// MapCells is the side of a consensus map.
const MapCells = 32

// Series follows checkpoints over training.
type Series struct {
	Steps   []Step         `json:"steps"`
	Between []Run          `json:"between"` // from each tuned checkpoint to the next
	Tensors []SeriesTensor `json:"tensors"`
}

// Step is one checkpoint of a series.
type Step struct {
	Tuned      string   `json:"tuned"`
	Base       Totals   `json:"base"`       // against the base
	Previous   *Totals  `json:"previous"`   // against the checkpoint before; nil for the first
	Similarity *float64 `json:"similarity"` // mean over matrices of SeriesTensor.Similarity
}

// SeriesTensor follows one tensor; each list has a number a step.
type SeriesTensor struct {
	Name       string     `json:"name"`
	Layer      *int       `json:"layer"`
	Kind       string     `json:"kind"`
	Sparsity   []*float64 `json:"sparsity_bf16"` // against the base
	Rel        []*float64 `json:"rel"`
	NSS        []*float64 `json:"nss"`        // upper ends where only an interval is known
	Similarity []*float64 `json:"similarity"` // ‖V_tᵀV_T‖_F²/16 of the top 16 right directions of ΔW
}

// Verdict is one sentence and what speaks for and against it. It says what the
// pair resembles, never how a model was trained.
type Verdict struct {
	Label    string   `json:"label"`
	Sentence string   `json:"sentence"`
	Evidence []string `json:"evidence"`
	Against  []string `json:"against"`
}

// num is x where it is finite, else nil.
func num(x float64) *float64 {
	if math.IsNaN(x) || math.IsInf(x, 0) {
		return nil
	}
	return &x
}

// ratio is a/b, nil for b = 0.
func ratio[T int | int64 | float64](a, b T) *float64 { return num(float64(a) / float64(b)) }
