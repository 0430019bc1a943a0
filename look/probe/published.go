package probe

// Published numbers of arXiv 2505.12514 (its paper, three seeds, and the checkpoint
// that its authors gave out). Rows are not reachable, reachable, frontier, optimal.
type published struct {
	Source string       `json:"source"`
	Low    [][4]float64 `json:"low"`            // by step
	High   [][4]float64 `json:"high,omitempty"` // where a range over seeds was given
}

var publishedAttention = []published{
	{Source: "paper", Low: [][4]float64{{.04, 2.12, 2.12, 2.54}, {.03, .71, 1.00, 1.72}, {.08, .38, .67, 1.67}, {.12, .29, .61, 2.23}}},
	{Source: "public checkpoint", Low: [][4]float64{{.073, 1.807, 1.807, 2.185}, {.071, .562, .746, 1.277}, {.118, .316, .506, 1.263}, {.153, .248, .454, 1.654}}},
}

var publishedInner = []published{
	{Source: "paper, 3 seeds",
		Low:  [][4]float64{{-.37, 3.59, 5.09, 6.41}, {-.26, 1.37, 2.45, 4.67}, {-.09, .62, 1.95, 5.44}, {-.27, .53, 2.12, 8.98}},
		High: [][4]float64{{-.25, 3.71, 5.38, 6.84}, {-.04, 1.55, 2.69, 5.11}, {.02, .80, 2.11, 6.43}, {-.23, .66, 2.29, 9.58}}},
	{Source: "public checkpoint", Low: [][4]float64{{-.39, 2.82, 3.90, 5.24}, {.01, .93, 1.85, 4.02}, {.60, .37, 1.61, 6.00}, {.41, .44, 2.23, 9.72}}},
}

// publishedAccuracy is the test accuracy on the original ids, and with permuted ones.
var publishedAccuracy = []struct {
	Name  string  `json:"name"`
	Share float64 `json:"share"`
}{
	{"thoughts, 2 layers", .99}, {"thoughts, 2 layers, permuted ids", .962}, {"CoT, 12 layers", .83},
	{"CoT, 2 layers", .75}, {"no CoT, 2 layers", .75}, {"chance", .5},
}
