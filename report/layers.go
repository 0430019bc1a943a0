package report

import (
	"cmp"
	"slices"
)

// point is a node of a layered drawing, or a bend of an edge that spans several
// layers.
type point struct {
	layer int
	y     float64
	room  float64 // height that it wants
	node  int     // -1: a bend
	left  []int   // neighbours in the layers beside, as indices of points
	right []int
}

// layered is where a graph's nodes and the bends of its edges lie: x is the
// layer, y free.
type layered struct {
	points []point
	layers [][]int // of points, from the top
	routes [][]int // of each edge: its ends, and the bends between
}

// arrangeLayers lays out a graph of n nodes from left to right, the same for
// equal edges: longest paths give layers, sweeps of barycentres the order in them (Sugiyama,
// Tagawa and Toda 1981). An edge that closes a cycle gets no route.
func arrangeLayers(n int, edges [][2]int) layered {
	l := layered{points: make([]point, n), routes: make([][]int, len(edges))}
	level := levels(n, edges)
	for v := range l.points {
		l.points[v] = point{layer: level[v], node: v, room: 1}
	}
	for i, e := range edges {
		if level[e[0]] >= level[e[1]] {
			continue
		}
		route := []int{e[0]}
		for at := level[e[0]] + 1; at < level[e[1]]; at++ {
			route = append(route, len(l.points))
			l.points = append(l.points, point{layer: at, node: -1, room: .45})
		}
		l.routes[i] = append(route, e[1])
		for k, p := range l.routes[i][1:] {
			from := l.routes[i][k]
			l.points[from].right = append(l.points[from].right, p)
			l.points[p].left = append(l.points[p].left, from)
		}
	}
	for p, at := range l.points {
		for len(l.layers) <= at.layer {
			l.layers = append(l.layers, nil)
		}
		l.layers[at.layer] = append(l.layers[at.layer], p)
	}
	l.order()
	l.settle()
	return l
}

// levels gives each node a layer to the right of all its predecessors, and moves
// one without predecessors next to its successors.
func levels(n int, edges [][2]int) []int {
	level := make([]int, n)
	for range n { // as many rounds as the longest path can have edges
		moved := false
		for _, e := range edges {
			if e[0] != e[1] && level[e[1]] <= level[e[0]] && level[e[0]]+1 < n {
				level[e[1]] = level[e[0]] + 1
				moved = true
			}
		}
		if !moved {
			break
		}
	}
	top := slices.Repeat([]bool{true}, n)
	for _, e := range edges {
		top[e[1]] = false
	}
	for v := range n {
		if !top[v] {
			continue
		}
		nearest := n
		for _, e := range edges {
			if e[0] == v {
				nearest = min(nearest, level[e[1]])
			}
		}
		if nearest < n {
			level[v] = max(0, nearest-1)
		}
	}
	return level
}

// order sorts each layer by the mean place of the neighbours on one side, sweeping
// to and fro.
func (l *layered) order() {
	place := make([]float64, len(l.points))
	number := func(layer []int) {
		for i, p := range layer {
			place[p] = float64(i) - float64(len(layer)-1)/2
		}
	}
	for _, layer := range l.layers {
		number(layer)
	}
	for sweep := range 12 {
		for k := range l.layers {
			at, side := k, func(p point) []int { return p.left }
			if sweep%2 == 1 {
				at, side = len(l.layers)-1-k, func(p point) []int { return p.right }
			}
			want := map[int]float64{}
			for _, p := range l.layers[at] {
				want[p] = meanOf(place, side(l.points[p]), place[p])
			}
			slices.SortStableFunc(l.layers[at], func(a, b int) int { return cmp.Compare(want[a], want[b]) })
			number(l.layers[at])
		}
	}
}

// settle finds heights: each point as near to the mean of its neighbours as its
// room allows.
func (l *layered) settle() {
	y := make([]float64, len(l.points))
	for _, layer := range l.layers {
		for i, p := range layer {
			y[p] = float64(i) - float64(len(layer)-1)/2
		}
	}
	for range 16 {
		for _, layer := range l.layers {
			want, got := make([]float64, len(layer)), make([]float64, len(layer))
			shift := 0.0
			for i, p := range layer {
				want[i] = meanOf(y, append(slices.Clone(l.points[p].left), l.points[p].right...), y[p])
				got[i] = want[i]
				if i > 0 {
					apart := (l.points[p].room + l.points[layer[i-1]].room) / 2
					got[i] = max(want[i], got[i-1]+apart)
				}
				shift += want[i] - got[i]
			}
			for i, p := range layer {
				y[p] = got[i] + shift/float64(len(layer))
			}
		}
	}
	for p := range l.points {
		l.points[p].y = y[p]
	}
}

func meanOf(value []float64, of []int, without float64) float64 {
	if len(of) == 0 {
		return without
	}
	sum := 0.0
	for _, p := range of {
		sum += value[p]
	}
	return sum / float64(len(of))
}
