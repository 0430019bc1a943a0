package answer

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
)

type pair struct {
	line int
	op   string // "=" same key, "~" equal by the unit rule only, "!" different
	a, b string
}

func corpus(t testing.TB) []pair {
	t.Helper()
	data, err := os.ReadFile("testdata/pairs.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var pairs []pair
	for i, line := range strings.Split(string(data), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != 3 || !strings.Contains("=~!", f[0]) {
			t.Fatalf("pairs.tsv:%d: want three fields, the first one of = ~ !", i+1)
		}
		pairs = append(pairs, pair{i + 1, f[0], f[1], f[2]})
	}
	return pairs
}

func TestPairs(t *testing.T) {
	pairs := corpus(t)
	if len(pairs) < 300 {
		t.Errorf("%d pairs, want at least 300", len(pairs))
	}
	for _, p := range pairs {
		ka, kb := KeyOf(p.a), KeyOf(p.b)
		where := fmt.Sprintf("line %d: %q → %q, %q → %q", p.line, p.a, ka, p.b, kb)
		if Equal(p.a, p.b) != (p.op != "!") {
			t.Errorf("%s: Equal = %v", where, Equal(p.a, p.b))
		}
		if Equal(p.a, p.b) != Equal(p.b, p.a) {
			t.Errorf("%s: not symmetric", where)
		}
		if (ka == kb) != (p.op == "=") {
			t.Errorf("%s: same key: %v, want %v", where, ka == kb, p.op == "=")
		}
	}
}

// The pairs must not contradict each other: what = connects, no ! or ~ may
// separate. This checks the corpus, which the keys are then checked against.
func TestPairsAreConsistent(t *testing.T) {
	parent := map[string]string{}
	var find func(s string) string
	find = func(s string) string {
		if p, ok := parent[s]; ok && p != s {
			parent[s] = find(p)
			return parent[s]
		}
		return s
	}
	pairs := corpus(t)
	for _, p := range pairs {
		if p.op == "=" {
			parent[find(p.a)] = find(p.b)
		}
	}
	for _, p := range pairs {
		if p.op != "=" && find(p.a) == find(p.b) {
			t.Errorf("line %d: %q and %q are declared different but connected by other lines", p.line, p.a, p.b)
		}
	}
}

func TestKeyIsIdempotent(t *testing.T) {
	for _, p := range corpus(t) {
		for _, s := range []string{p.a, p.b} {
			k := KeyOf(s)
			if again := KeyOf(k.String()); again != k {
				t.Errorf("%q: KeyOf(%q) = %q, want %q", s, k.String(), again, k)
			}
			// The re-reading in KeyOf is a net; no ordinary answer falls into it.
			if inner, ok := strings.CutPrefix(k.Value, textOpen); ok && strings.ContainsAny(inner, `\`) {
				t.Errorf("%q: its rendering %q is not read as itself", s, inner)
			}
		}
	}
}

func TestRenderings(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`\frac{2}{-4}`, "-1/2"},
		{`1+\frac{\sqrt{20}}{4}`, "1+1/2*sqrt(5)"},
		{`\frac{3\pi}{\sqrt 6}`, "1/2*sqrt(6)*pi"},
		{"y x^2*3 - 1", "3*x^2*y-1"},
		{"(x+y)^3", "x^3+3*x^2*y+3*x*y^2+y^3"},
		{"3, 10, 2", `\{2, 3, 10\}`},
		{`\begin{bmatrix}1&\sqrt8\end{bmatrix}`, `\begin{pmatrix}1&2*sqrt(2)\end{pmatrix}`},
		{"y=2, x=1", "x=1, y=2"},
		{"-5 dollars", `-\$5`},
		{"90^\\circ", "90°"},
		{"12 m/s", `12 \unit{m/s}`},
		{"(c)", "C"},
		{"  The  END. ", "the end"},
		{"", ""},
	} {
		if got := KeyOf(c.in).String(); got != c.want {
			t.Errorf("KeyOf(%q) is written %q, want %q", c.in, got, c.want)
		}
	}
}

// Products and sums of random surds must be the same whichever way they are
// computed: expanding by hand, or by the parser.
func TestSurdArithmetic(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		a, b, c, d := rng.IntN(19)-9, rng.IntN(19)-9, rng.IntN(19)-9, rng.IntN(9)+1
		r, s := rng.IntN(50)+2, rng.IntN(50)+2
		product := fmt.Sprintf(`(%d+%d\sqrt{%d})(%d+%d\sqrt{%d})`, a, b, r, c, d, s)
		expanded := fmt.Sprintf(`%d+%d*\sqrt{%d}+%d*\sqrt{%d}+%d*\sqrt{%d}`, a*c, a*d, s, b*c, r, b*d, r*s)
		if k, l := KeyOf(product), KeyOf(expanded); k != l {
			t.Fatalf("%s → %q but %s → %q", product, k, expanded, l)
		}
		// (q·v)/v = q for v ≠ 0 exercises rationalised denominators.
		v := fmt.Sprintf(`(%d+%d\sqrt{%d}+\sqrt{%d})`, a, d, r, s)
		if KeyOf(v).Value == "0" {
			continue
		}
		back := fmt.Sprintf(`\frac{%s%s}{%s}`, product, v, v)
		if k, l := KeyOf(back), KeyOf(product); k != l {
			t.Fatalf("%s → %q, want %q", back, k, l)
		}
	}
}

// √n for every small n against the definition: n = k²·m with m squarefree.
func TestSquareRoots(t *testing.T) {
	for n := 1; n <= 400; n++ {
		k, m := 1, n
		for d := 2; d*d <= m; d++ {
			for m%(d*d) == 0 {
				k, m = k*d, m/(d*d)
			}
		}
		want := fmt.Sprintf("%d*sqrt(%d)", k, m)
		switch {
		case m == 1:
			want = fmt.Sprint(k)
		case k == 1:
			want = fmt.Sprintf("sqrt(%d)", m)
		}
		if got := KeyOf(fmt.Sprintf(`\sqrt{%d}`, n)).Value; got != want {
			t.Errorf("√%d = %s, want %s", n, got, want)
		}
	}
}

// A quotient of random polynomials in one variable is reduced completely:
// multiplying both sides by the same polynomial changes nothing.
func TestQuotientsAreReduced(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	random := func() string {
		return fmt.Sprintf("(%dx^2+%dx+%d)", rng.IntN(7)+1, rng.IntN(13)-6, rng.IntN(13)-6)
	}
	for range 100 {
		a, b, c := random(), random(), random()
		short, long := fmt.Sprintf("%s/%s", a, b), fmt.Sprintf(`\frac{%s%s}{%s%s}`, a, c, b, c)
		if k, l := KeyOf(short), KeyOf(long); k != l {
			t.Fatalf("%s → %q but %s → %q", short, k, long, l)
		}
	}
}

func TestMerge(t *testing.T) {
	for _, c := range []struct {
		answers string // divided by |
		want    []int
	}{
		{"5|5 cm|5", []int{0, 0, 0}},
		{"5|5 cm|5 m", []int{0, 1, 2}},
		{"5 cm|5|5 cm|6", []int{0, 0, 0, 1}},
		{"5 cm|5 m|5 cm", []int{0, 1, 0}},
		{"50%|0.5|50", []int{0, 1, 0}},
		{"| |5", []int{-1, -1, 0}},
		{"30°, 60°|60, 30", []int{0, 0}},
	} {
		var keys []Key
		for _, a := range strings.Split(c.answers, "|") {
			keys = append(keys, KeyOf(a))
		}
		if got := Merge(keys); !slices.Equal(got, c.want) {
			t.Errorf("Merge(%s) = %v, want %v", c.answers, got, c.want)
		}
	}
}

// The partition does not depend on the order of the votes.
func TestMergeOrder(t *testing.T) {
	var keys []Key
	for _, a := range strings.Split("5|5 cm|5 m|6|6 s|6|7|7%|8 m|yes|YES||(1,2)|(1,2) cm", "|") {
		keys = append(keys, KeyOf(a))
	}
	same := func(keys []Key) map[[2]Key]bool {
		out := map[[2]Key]bool{}
		class := Merge(keys)
		for i := range keys {
			for j := range keys {
				if class[i] == class[j] {
					out[[2]Key{keys[i], keys[j]}] = true
				}
			}
		}
		return out
	}
	want := same(keys)
	rng := rand.New(rand.NewPCG(5, 6))
	for range 50 {
		rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		got := same(keys)
		if len(got) != len(want) {
			t.Fatalf("%d equal pairs after shuffling, want %d", len(got), len(want))
		}
		for p := range want {
			if !got[p] {
				t.Fatalf("%q and %q are separated after shuffling", p[0], p[1])
			}
		}
	}
}

func TestUnitNamesAreCanonical(t *testing.T) {
	var names []string
	for n := range unitSymbols {
		names = append(names, n)
	}
	for n := range letterUnits {
		names = append(names, unitName(n))
	}
	for n, u := range unitAliases {
		names = append(names, u, unitName(n))
	}
	for _, p := range compoundUnits {
		names = append(names, p[:]...)
	}
	for _, n := range names {
		if got := unitName(n); got != n {
			t.Errorf("unitName(%q) = %q: a canonical name must be its own", n, got)
		}
	}
}

func TestRaw(t *testing.T) {
	if Raw(" 0.5\n") != Raw("0.5") || Raw("0.5") == Raw("1/2") || !Raw(" ").IsZero() {
		t.Error("Raw must strip blanks and nothing else")
	}
}
