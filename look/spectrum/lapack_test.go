package spectrum

import (
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestInstalledLapack holds an installed LAPACK to gonum: the same eigenvalues
// and subspaces. Quarantined where none is installed; `apt-get install
// libopenblas0-pthread` (or liblapack3) un-skips it.
func TestInstalledLapack(t *testing.T) {
	found := 0
	for _, name := range usualLibraries {
		lib, err := openLibrary(name)
		if err != nil {
			continue
		}
		found++
		if err := lib.selfTest(); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !strings.Contains(lib.name, " ") {
			t.Errorf("%s has no version in its name %q", name, lib.name)
		}
		for _, n := range []int{2, 3, 31, 100} {
			w := decaying(rand.New(rand.NewPCG(1, uint64(n))), n, n+5).wide()
			g := w.times(w.transposed())
			ours := newTridiagonal(g.clone())
			reduceHere(&ours)
			theirs := newTridiagonal(g.clone())
			if err := lib.reduce(&theirs); err != nil {
				t.Fatal(err)
			}
			a, _ := ours.values()
			b, _ := theirs.values()
			for i := range a {
				if math.Abs(a[i]-b[i]) > 1e-14 { // σ_1² = 1: some 50 roundings
					t.Errorf("%s, n = %d: eigenvalue %d is %v, ours %v", lib.name, n, i, b[i], a[i])
				}
			}
			k := max(1, n/10)
			if angle := principalAngles(ours.vectors(a[:k]), theirs.vectors(b[:k]))[0]; angle > 1e-11 {
				t.Errorf("%s, n = %d: its vectors are %v from ours", lib.name, n, angle)
			}
		}
	}
	if found == 0 {
		t.Skip("no LAPACK is installed; un-skip with: apt-get install libopenblas0-pthread")
	}
}

// TestBrokenLibraries: what cannot be opened, has no routine, or computes
// nonsense is refused with a sentence that names it, and "off" is ours.
func TestBrokenLibraries(t *testing.T) {
	if lib, err := findLibrary("off"); lib != nil || err != nil {
		t.Errorf("off: %v %v", lib, err)
	}
	text := filepath.Join(t.TempDir(), "text.so")
	if err := os.WriteFile(text, []byte("not a library"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"/no/such/lib.so", text} {
		if _, err := findLibrary(name); err == nil || !strings.Contains(err.Error(), "ORRERY_LAPACK="+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	cc, err := exec.LookPath("cc")
	if err != nil || len(usualLibraries) == 0 {
		t.Skip("needs a C compiler to make broken libraries, and a build that opens any; un-skip with: apt-get install gcc")
	}
	for name, code := range map[string]string{
		"has no dsytrd":          `int other(void) { return 0; }`,
		"asks for a workspace":   `void dsytrd_() {}`,
		"returned info -4":       `void dsytrd_(char *u, int *n, double *a, int *lda, double *d, double *e, double *tau, double *w, int *lwork, int *info) { *info = -4; }`,
		"where 40 is right":      `void dsytrd_(char *u, int *n, double *a, int *lda, double *d, double *e, double *tau, double *w, int *lwork, int *info) { w[0] = 64; }`,
		"make no eigenvectors":   `void dsytrd_(char *u, int *n, double *a, int *lda, double *d, double *e, double *tau, double *w, int *lwork, int *info) { w[0] = 64; if (*lwork > 0) for (int i = 0; i < *n; i++) d[i] = i + 1; }`,
		"has no eigenvalues":     `void dsytrd_(char *u, int *n, double *a, int *lda, double *d, double *e, double *tau, double *w, int *lwork, int *info) { w[0] = 64; if (*lwork > 0) for (int i = 0; i < *n; i++) d[i] = 0.0 / 0.0; }`,
		"asks for a workspace 2": `void dsytrd_(char *u, long *n, double *a, long *lda, double *d, double *e, double *tau, double *w, long *lwork, long *info) { w[0] = 1e300; }`,
	} {
		dir := t.TempDir()
		src, so := filepath.Join(dir, "x.c"), filepath.Join(dir, "x.so")
		if err := os.WriteFile(src, []byte(code), 0o644); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(cc, "-w", "-shared", "-fPIC", "-o", so, src).CombinedOutput(); err != nil {
			t.Fatalf("cc: %v: %s", err, out)
		}
		says := strings.TrimSuffix(name, " 2")
		if _, err := findLibrary(so); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("a library that %s: %v", name, err)
		}
	}
}

// TestReflectorsReduce: T and Q from gonum are G = QTQᵀ.
func TestReflectorsReduce(t *testing.T) {
	const n = 45
	w := decaying(rand.New(rand.NewPCG(8, 8)), n, n).wide()
	g := w.times(w.transposed())
	tri := newTridiagonal(g.clone())
	reduceHere(&tri)
	q := newDense(n, n) // rows are Q's columns
	for i := range n {
		q.row(i)[i] = 1
		tri.reflect(q.row(i))
	}
	back := q.times(g).times(q.transposed()) // QᵀGQ
	for i := range n {
		for j := range n {
			want := 0.0
			switch i - j {
			case 0:
				want = tri.d[i]
			case 1:
				want = tri.e[j]
			case -1:
				want = tri.e[i]
			}
			if math.Abs(back.at(i, j)-want) > 1e-14 {
				t.Fatalf("(%d,%d) is %v, want %v", i, j, back.at(i, j), want)
			}
		}
	}
}

// TestBadLibraryStopsExact: a library that the user names and that cannot be
// used is no reason to go on without it. In a process of its own, since the
// choice is made once.
func TestBadLibraryStopsExact(t *testing.T) {
	if os.Getenv("SPECTRUM_CHILD") != "" {
		w := Matrix{[]float32{1, 2, 3, 4}, 2, 2}
		_, err := Compare(t.Context(), w, w, Options{Mode: Exact})
		_, check := CheckLapack()
		if err == nil || check == nil || err.Error() != check.Error() {
			t.Fatalf("%v; %v", err, check)
		}
		return
	}
	child := exec.Command(os.Args[0], "-test.run", "^TestBadLibraryStopsExact$")
	child.Env = append(os.Environ(), "SPECTRUM_CHILD=1", LapackVariable+"=/no/such/lib.so")
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
