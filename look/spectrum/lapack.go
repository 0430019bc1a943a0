package spectrum

import (
	"fmt"
	"math"
	"os"
	"sync"
)

// LapackVariable names the LAPACK to open for mode exact: a library's path or
// soname, or "off" for ours. Unset: the first of the usual ones that works.
const LapackVariable = "ORRERY_LAPACK"

// library is an installed LAPACK of which one routine is used: the reduction of
// a symmetric matrix to tridiagonal form, which is nearly all the time of a
// symmetric eigenproblem.
type library struct {
	name string
	// dsytrd is Fortran's, with the length of uplo last. Integers are cells of
	// eight bytes that hold small values, so that a library with 32-bit integers
	// and one with 64-bit integers (ILP64) both read them right.
	dsytrd func(uplo *byte, n *int64, a *float64, lda *int64, d, e, tau, work *float64, lwork, info *int64, uploLen uintptr)
}

// installed is the library that the process uses, nil for ours.
var installed = sync.OnceValues(func() (*library, error) { return findLibrary(os.Getenv(LapackVariable)) })

// CheckLapack names the library that mode Exact uses, "gonum" where there is
// none. It fails, as Exact would later, if LapackVariable names one that cannot
// be used.
func CheckLapack() (string, error) {
	lib, err := installed()
	switch {
	case err != nil:
		return "", err
	case lib == nil:
		return "gonum", nil
	}
	return lib.name, nil
}

// findLibrary opens what the user wishes, or the first usual library that
// passes its test; nil means ours.
func findLibrary(wish string) (*library, error) {
	if wish == "off" {
		return nil, nil
	}
	if wish != "" {
		lib, err := openLibrary(wish)
		if err == nil {
			err = lib.selfTest()
		}
		if err != nil {
			return nil, fmt.Errorf("opening the LAPACK that %s=%s names: %w; name a library with dsytrd, or \"off\"", LapackVariable, wish, err)
		}
		return lib, nil
	}
	for _, name := range usualLibraries {
		if lib, err := openLibrary(name); err == nil && lib.selfTest() == nil {
			return lib, nil
		}
	}
	return nil, nil
}

// reduce is Dsytrd on the upper triangle of t.reflectors. Fortran's columns are
// our rows, so the triangle is mirrored first.
func (l *library) reduce(t *tridiagonal) error {
	g := t.reflectors
	n := int64(g.rows)
	mirror(g)
	uplo, query := byte('U'), []float64{0}
	lwork, info := int64(-1), int64(0)
	call := func(work []float64) error {
		l.dsytrd(&uplo, &n, &g.data[0], &n, &t.d[0], &t.e[0], &t.tau[0], &work[0], &lwork, &info, 1)
		if int32(info) != 0 {
			return fmt.Errorf("dsytrd of %s returned info %d", l.name, int32(info))
		}
		return nil
	}
	if err := call(query); err != nil {
		return err
	}
	if q := query[0]; !(q >= 1 && q <= 1<<20*float64(n)) {
		return fmt.Errorf("dsytrd of %s asks for a workspace of %v", l.name, q)
	}
	lwork = int64(query[0])
	return call(make([]float64, lwork))
}

// mirror copies the upper triangle to the lower.
func mirror(g dense) {
	const block = 64 // both sides of a block stay in the cache
	n := g.rows
	for i0 := 0; i0 < n; i0 += block {
		for j0 := 0; j0 <= i0; j0 += block {
			for i := i0; i < min(i0+block, n); i++ {
				for j := j0; j < min(j0+block, i); j++ {
					g.data[i*n+j] = g.data[j*n+i]
				}
			}
		}
	}
}

func transposeInPlace(g dense) {
	const block = 64
	n := g.rows
	for i0 := 0; i0 < n; i0 += block {
		for j0 := 0; j0 <= i0; j0 += block {
			for i := i0; i < min(i0+block, n); i++ {
				for j := j0; j < min(j0+block, i); j++ {
					g.data[i*n+j], g.data[j*n+i] = g.data[j*n+i], g.data[i*n+j]
				}
			}
		}
	}
}

// selfTest reduces a matrix with the eigenvalues 1 … 40, larger than the block
// of LAPACK's unblocked code, and checks eigenvalues and eigenvectors.
func (l *library) selfTest() error {
	const n = 40
	q, _ := householderQR(gaussian("self test", n, n))
	scaled := q.clone()
	for i := range n {
		for j := range scaled.row(i) {
			scaled.row(i)[j] *= float64(n - j)
		}
	}
	g := scaled.times(q.transposed())
	t := newTridiagonal(g.clone())
	if err := l.reduce(&t); err != nil {
		return err
	}
	lambda, err := t.values()
	if err != nil {
		return fmt.Errorf("%s gave a tridiagonal matrix that has no eigenvalues", l.name)
	}
	const tolerance = 1e-11 // n·ε·‖G‖ is 4e-13
	for i, v := range lambda {
		if !(math.Abs(v-float64(n-i)) < tolerance) {
			return fmt.Errorf("%s gave eigenvalue %v where %d is right", l.name, v, n-i)
		}
	}
	x := t.vectors(lambda[:3])
	gx := g.times(x)
	for i, v := range gx.data {
		if !(math.Abs(v-x.data[i]*lambda[i%3]) < tolerance) {
			return fmt.Errorf("%s gave reflectors that make no eigenvectors", l.name)
		}
	}
	return nil
}
