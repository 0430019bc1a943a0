package report

import (
	"fmt"
	"math"
)

// wave is a made-up curve.
func wave(n int, scale, shift float64) (x, y []float64) {
	for i := range n {
		t := float64(i) / float64(n) * 10
		x = append(x, float64(i*10))
		y = append(y, scale*(1+math.Sin(t+shift))*math.Exp(-t/8)+0.01)
	}
	return x, y
}

func grid(rows, columns int, f func(r, c float64) float64) [][]float64 {
	out := make([][]float64, rows)
	for r := range out {
		out[r] = make([]float64, columns)
		for c := range out[r] {
			out[r][c] = f(float64(r), float64(c))
		}
	}
	return out
}

func numbered(name string, n int) (out []string) {
	for i := range n {
		out = append(out, fmt.Sprintf("%s%d", name, i))
	}
	return out
}

// sample is a page with every block, each with awkward content.
func sample() Page {
	nan := math.NaN()
	x, a := wave(200, 1, 0)
	_, b := wave(200, 0.5, 2)
	kinds := []string{"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
	nss := grid(12, 7, func(r, c float64) float64 { return math.Pow(10, -6+r/4+math.Sin(c)) })
	nss[3][2], nss[0][0], nss[11] = nan, 0, nss[11][:5]
	share := grid(6, 6, func(r, c float64) float64 { return 0.2 + 0.1*math.Abs(r-c) })
	boundary := grid(24, 30, func(r, c float64) float64 { return 1 / (1 + math.Exp((12-r)*0.4-c*0.2+2)) })
	var p, n []float64
	for i := range 24 {
		p = append(p, float64(60-i*2))
	}
	for i := range 30 {
		n = append(n, math.Pow(10, 1+float64(i)/10))
	}
	rows := make([][]string, 1234)
	for i := range rows {
		rows[i] = []string{fmt.Sprintf("model.layers.%d.self_attn.q_proj.weight", i), fmt.Sprint(i * 7 % 100), fmt.Sprintf("%.3g", math.Sin(float64(i))), "<b>"}
	}
	rows[5][2] = "–"
	var frames []Frame
	for i := range 3 {
		_, y := wave(60, float64(i+1), float64(i))
		fx, _ := wave(60, 1, 0)
		frames = append(frames, Frame{Name: fmt.Sprintf("step %d", i*100), Blocks: []Block{
			Plot{Title: "Spectrum", X: Axis{Label: "index"}, Y: Axis{Label: "σ", Min: 0, Max: 7}, Series: []Series{{Name: "σ", X: fx, Y: y}}}}})
	}
	return Page{Title: "Every block of a report", Lead: "With made-up numbers: this page is for looking at the charts themselves.", Blocks: []Block{
		Note{Label: "2 tensors have no partner", Items: []string{"lm_head.weight is missing in tuned/", "model.extra.bias is extra"}, Warning: true},
		Verdict{Label: "Sparse, spectrum-preserving: resembles published RL pairs.", Evidence: []string{"sparsity 0.71 ≥ 0.30", "median NSS 2.1e-5 ≤ 3e-4"}, Against: []string{"explained by precision alone: |observed − null| = 0.011 < 0.02"}},
		Heading("Lines"),
		Text("A paragraph of plain words says what the figure shows and what it does not."),
		Plot{Title: "Loss with stages and a prediction", X: Axis{Label: "step"}, Y: Axis{Label: "loss (nats)", Log: true},
			Series: []Series{{Name: "train", X: x, Y: a}, {Name: "test", X: x, Y: b, Low: scaled(b, 0.8), High: scaled(b, 1.3)}}, Caption: "The band is the 95 % interval.",
			Regions: []Region{{Name: "I lazy", From: math.Inf(-1), To: 400}, {Name: "II independent features", From: 400, To: 900}, {Name: "III interacting features", From: 900, To: math.Inf(1)}},
			Marks:   []Mark{{Name: "theory t₀ = 620", At: 620}, {Name: "measured 655", At: 655}, {Name: "chance", At: 0.3, Horizontal: true}, {Name: "bound", At: 0.28, Horizontal: true}}},
		Columns{
			Plot{Title: "Points with bars", X: Axis{Label: "tokens", Log: true}, Y: Axis{Label: "accuracy", Percent: true}, Series: []Series{
				{Name: "single", X: []float64{100, 1000}, Y: []float64{0.5, 0.7}, Low: []float64{0.4, 0.6}, High: []float64{0.6, 0.8}, Draw: Points}}},
			BarChart{Title: "Sparsity by layer", Y: Axis{Label: "unchanged", Percent: true}, X: "layer", Categories: numbered("", 28), Series: []Group{
				{Name: "bf16", Values: scaled(a[:28], 0.4)}, {Name: "1e-5", Values: append(scaled(a[:20], 0.3), nan, nan)}}, Marks: []Mark{{Name: "null 0.4", At: 0.4, Horizontal: true}}},
		},
		BarChart{Title: "Bytes by encoding", Y: Axis{Label: "bytes"}, Stacked: true, Categories: []string{"embed_tokens", "layers.0.self_attn", "layers.0.mlp", "layers.1.self_attn", "layers.1.mlp", "lm_head", "norm", "a very long name of a tensor indeed", "rest"},
			Series: []Group{{Name: "gap", Values: []float64{5e6, 2e6, 4e6, 1e6, 3e6, 6e6, 100, 1e6, 2e6}}, {Name: "bitmap", Values: []float64{1e6, 3e6, 2e6, 4e6, 1e6, 0, 0, 2e6, nan}}}},
		Heading("Counts"),
		Histogram{Title: "Energy of the solutions", X: Axis{Label: "energy"}, Y: Axis{Label: "nodes"}, Edges: steps(0, 0.5, 21), Series: []Counts{
			{Name: "d = 1", Counts: scaled(a[:20], 90)}, {Name: "d = 2", Counts: scaled(b[:20], 60)}, {Name: "not converged", Counts: []float64{3, 0, nan, 1}}},
			Marks: []Mark{{Name: "E = M/8d, d = 1", At: 2.5}, {Name: "d = 2", At: 2.9}, {Name: "d = 4", At: 9}}},
		Heading("Colours"),
		HeatMap{Title: "NSS, layer by matrix", Rows: numbered("layer ", 12), Columns: kinds, Values: nss, Colour: Axis{Label: "NSS", Log: true}, Text: true, Caption: "Hatched: no such matrix, or not measured."},
		Columns{
			HeatMap{Title: "Jaccard minus independence", Rows: numbered("run ", 6), Columns: numbered("run ", 6), Values: grid(6, 6, func(r, c float64) float64 { return (r - c) / 20 }), Diverging: true, Text: true},
			HeatMap{Title: "Jaccard", Rows: numbered("run ", 6), Columns: numbered("run ", 6), Values: share, Colour: Axis{Percent: true}, Text: true},
		},
		HeatMap{Title: "Where it generalises", X: Axis{Label: "width", Log: true}, Y: Axis{Label: "share of data, %"}, ColumnAt: n, RowAt: p, Values: boundary, Colour: Axis{Label: "test accuracy", Percent: true},
			Lines: []Series{{Name: "fitted", X: n, Y: fall(n, 60)}, {Name: "published", X: n, Y: fall(n, 80)}}},
		HeatMap{Title: "Consensus of 3 runs, 1536 × 8960", X: Axis{Label: "column"}, Y: Axis{Label: "row"}, Values: grid(900, 2000, func(r, c float64) float64 {
			if r > 850 {
				return nan
			}
			return math.Abs(math.Sin(r/40) * math.Cos(c/90))
		})},
		Stripes{Title: "Changed weights by row and by column", Colour: Axis{Label: "changed", Percent: true}, Stripes: []Stripe{
			{Name: "q_proj rows", Values: scaled(a, 1), Borders: []int{50, 100, 150}}, {Name: "q_proj columns", Values: b[:70]}, {Name: "nothing measured", Values: []float64{nan, nan}}}},
		Heading("Graphs"),
		sampleGraph(),
		Heading("Tables"),
		Table{Caption: "A curve in a cell", Head: []string{"layer", "over steps", "last"}, Rows: [][]string{{"q_proj", "", "0.31"}, {"k_proj", "", "–"}}, Sparks: map[int][][]float64{1: {a[:40], {1, nan, 3, 2}}}},
		Table{Caption: "All tensors", Head: []string{"tensor", "n", "NSS", "kind"}, Rows: rows, Page: 10},
		Heading("Parts"),
		Slider{Label: "step", Frames: frames},
		Details{Summary: "Settings", Blocks: []Block{Code("orrery audit base tuned --html out.html")}},
	}}
}

func scaled(v []float64, by float64) (out []float64) {
	for _, x := range v {
		out = append(out, x*by)
	}
	return out
}

func steps(from, by float64, n int) (out []float64) {
	for i := range n {
		out = append(out, from+by*float64(i))
	}
	return out
}

func fall(x []float64, from float64) (out []float64) {
	for _, v := range x {
		out = append(out, from-15*math.Log10(v))
	}
	return out
}
