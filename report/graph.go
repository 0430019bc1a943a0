package report

import (
	"fmt"
	"math"
)

// Graph draws a directed graph without cycles in layers from left to right. Kinds
// choose colours, values how strong they are. Graphs with equal edges have equal
// layouts, so that frames of a Slider can be compared.
type Graph struct {
	Title   string
	Caption string
	Kinds   []string // what the colours of nodes and edges mean
	Nodes   []Node
	Edges   []Edge
	Node    Axis // of the nodes' values: they are drawn from none at 0 or less to full at Max
	Edge    Axis // of the edges' values, likewise
}

// Node is a node; a value that is NaN was not measured, and the node is empty.
type Node struct {
	Name  string
	Kind  int
	Value float64
	Note  string // beside it, such as "root"
}

// Edge leads from one node to another, by index; a value that is NaN is drawn as a dotted line.
type Edge struct {
	From, To int
	Kind     int
	Value    float64
}

const (
	nodeRadius = 11.0
	rowHeight  = 34.0 // of a node among its neighbours in a layer
)

func (g Graph) writeHTML(w *writer) {
	ends := make([][2]int, 0, len(g.Edges))
	for _, e := range g.Edges {
		if min(e.From, e.To) < 0 || max(e.From, e.To) >= len(g.Nodes) {
			e.From, e.To = 0, 0 // drawn nowhere
		}
		ends = append(ends, [2]int{e.From, e.To})
	}
	if len(g.Nodes) == 0 {
		ends = nil
	}
	l := arrangeLayers(len(g.Nodes), ends)
	low, high := math.Inf(1), math.Inf(-1)
	for _, p := range l.points {
		low, high = min(low, p.y), max(high, p.y)
	}
	width, _ := w.size()
	if len(g.Nodes) == 0 {
		low, high = 0, 1
	}
	const margin = 34
	height := 2*margin + (high-low)*rowHeight
	step := (width - 2*margin) / float64(max(1, len(l.layers)-1))
	at := func(p point) (x, y float64) { return margin + step*float64(p.layer), margin + (p.y-low)*rowHeight }
	w.openChart(g.Title, width, height)
	for i := range ends {
		if r := l.routes[i]; len(r) > 1 {
			g.edge(w, g.Edges[i], l, r, at)
		}
	}
	for v, n := range g.Nodes {
		x, y := at(l.points[v])
		g.node(w, n, x, y)
	}
	if len(g.Nodes) == 0 {
		frame{0, width, 0, height}.nothing(w)
	}
	var legend []key
	for k, name := range g.Kinds {
		legend = append(legend, key{colour(k), "●", name})
	}
	w.closeChart(legend, g.Caption)
}

// strength is how strongly a value is drawn, 0 to 1.
func strength(a Axis, v float64) float64 {
	if !(v > 0) || !(a.Max > 0) {
		return 0
	}
	return min(1, v/a.Max)
}

// edge draws a curve through the points of a route, and its arrow head.
func (g Graph) edge(w *writer, e Edge, l layered, route []int, at func(point) (x, y float64)) {
	s := strength(g.Edge, e.Value)
	look, size := fmt.Sprintf(`stroke="%s" stroke-width="%.2f" stroke-opacity="%.2f"`, colour(e.Kind), 1+4.5*s, .16+.84*math.Sqrt(s)), 4+3*s
	if math.IsNaN(e.Value) {
		look, size = `stroke="var(--soft)" stroke-width="1" stroke-opacity=".45" stroke-dasharray="2 3"`, 4
	}
	xs, ys := make([]float64, len(route)), make([]float64, len(route))
	for i, p := range route {
		xs[i], ys[i] = at(l.points[p])
	}
	last := len(route) - 1
	xs[0], xs[last] = xs[0]+nodeRadius, xs[last]-nodeRadius-size
	slope := make([]float64, len(route)) // level at both ends, and along the route between
	for i := 1; i < last; i++ {
		slope[i] = (ys[i+1] - ys[i-1]) / (xs[i+1] - xs[i-1])
	}
	w.printf(`<g><path fill="none" %s d="M%.1f %.1f`, look, xs[0], ys[0])
	for i := range last {
		third := (xs[i+1] - xs[i]) / 3
		w.printf("C%.1f %.1f %.1f %.1f %.1f %.1f", xs[i]+third, ys[i]+third*slope[i], xs[i+1]-third, ys[i+1]-third*slope[i+1], xs[i+1], ys[i+1])
	}
	x, y := xs[last], ys[last]
	fill, opacity := colour(e.Kind), .25+.75*math.Sqrt(s)
	if math.IsNaN(e.Value) {
		fill, opacity = "var(--soft)", .45
	}
	w.printf(`"/><path fill="%s" fill-opacity="%.2f" d="M%.1f %.1fl%.1f %.1fv%.1fz"/>`, fill, opacity, x+size, y, -size, -size*.6, size*1.2)
	w.printf("<title>%s → %s%s</title></g>", esc(g.Nodes[e.From].Name), esc(g.Nodes[e.To].Name), esc(says(g.Edge, g.Kinds, e.Kind, e.Value)))
}

// node draws a circle, as full as its value is large.
func (g Graph) node(w *writer, n Node, x, y float64) {
	w.printf(`<g><circle cx="%.1f" cy="%.1f" r="%.1f" fill="var(--plot)"/><circle cx="%.1f" cy="%.1f" r="%.1f" fill="%s" fill-opacity="%.2f" stroke="%s" stroke-width="2"/>`,
		x, y, nodeRadius, x, y, nodeRadius, colour(n.Kind), .9*strength(g.Node, n.Value), colour(n.Kind))
	w.printf(`<text class="halo" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x, y+4, esc(cut(n.Name, 30)))
	if n.Note != "" {
		w.printf(`<text class="halo" x="%.1f" y="%.1f" text-anchor="middle">%s</text>`, x, y-nodeRadius-4, esc(n.Note))
	}
	w.printf("<title>%s%s</title></g>", esc(n.Name), esc(says(g.Node, g.Kinds, n.Kind, n.Value)))
}

// says is what hovering tells of a value.
func says(a Axis, kinds []string, kind int, v float64) string {
	s := ""
	if kind >= 0 && kind < len(kinds) {
		s = ", " + kinds[kind]
	}
	if math.IsNaN(v) {
		return s
	}
	return s + ": " + a.Label + " " + a.label(v)
}
