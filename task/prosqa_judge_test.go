package task

import "testing"

func TestJudge(t *testing.T) {
	// Sam → a → b → x, a → x, Sam → c, Tom → y
	g := &Graph{IdxToSymbol: []string{"Sam", "Tom", "impus", "lempus", "wumpus", "gorpus", "yumpus"},
		Edges: [][2]int{{0, 2}, {2, 3}, {3, 4}, {2, 4}, {0, 5}, {1, 6}}, Root: 0, Target: 4, NegTarget: 6}
	for _, c := range []struct {
		steps []string
		right bool
		want  PathClass
	}{
		{nil, true, CorrectLabel},
		{nil, false, IncorrectLabel},
		{[]string{"Sam is a impus.", "Every impus is a wumpus."}, true, CorrectPath},
		{[]string{"Every impus is a wumpus."}, true, CorrectPath}, // a thought stands for the first step
		{[]string{"Every impus is a wumpus."}, false, CorrectPath},
		{[]string{"Sam is a impus.", "Every impus is a lempus.", "Every lempus is a wumpus."}, true, LongerPath},
		{[]string{"Every lempus is a wumpus."}, true, LongerPath},
		{[]string{"Sam is a gorpus."}, true, WrongTarget},
		{[]string{"Sam is a impus."}, true, WrongTarget}, // it stops on the way
		{[]string{"Sam is a wumpus."}, true, HallucinatedEdge},
		{[]string{"Sam is a impus.", "Every lempus is a wumpus."}, true, HallucinatedEdge}, // a gap
		{[]string{"Tom is a yumpus."}, false, HallucinatedEdge},                            // not below Sam
		{[]string{"Sam is a dragon."}, true, HallucinatedEdge},
		{[]string{"Sam sings."}, true, HallucinatedEdge},
	} {
		if got := g.Judge(c.steps, c.right); got != c.want {
			t.Errorf("%q, right %v: %s, want %s", c.steps, c.right, got, c.want)
		}
	}
	// Worked solutions are correct paths, also from any step on.
	for _, p := range sample(t, ProsQATiny, 50, 31) {
		for k := range p.Steps {
			if got := graphOf(p).Judge(p.Steps[k:], true); got != CorrectPath {
				t.Fatalf("%q from step %d is %q", p.Steps, k, got)
			}
		}
	}
}
