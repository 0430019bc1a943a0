package cli

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"

	"orrery/learn/checkpoint"
)

// mkCheckpoint is a command of the test scripts: it writes a safetensors file,
//
//	mkcheckpoint FILE 'NAME DTYPE ROWSxCOLS OP …' …
//
// with the ops const=V, normal=SEED,STD, add=SEED,STD,SHARE (moves a share of
// the entries) and nan=INDEX. The shape "-" is a scalar.
func mkCheckpoint() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "mkcheckpoint FILE TENSOR…")
		os.Exit(2)
	}
	var entries []checkpoint.Entry
	for _, s := range os.Args[2:] {
		entries = append(entries, mkTensor(strings.Fields(s)))
	}
	if err := checkpoint.Write(os.Args[1], entries, nil); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func mkTensor(f []string) checkpoint.Entry {
	e := checkpoint.Entry{Name: f[0], DType: checkpoint.DType(f[1]), Shape: []int{}}
	n := 1
	if f[2] != "-" {
		for _, d := range strings.Split(f[2], "x") {
			k, err := strconv.Atoi(d)
			must(err)
			e.Shape = append(e.Shape, k)
			n *= k
		}
	}
	v := make([]float64, n)
	for _, op := range f[3:] {
		name, text, _ := strings.Cut(op, "=")
		var arg []float64
		for _, a := range strings.Split(text, ",") {
			x, err := strconv.ParseFloat(a, 64)
			must(err)
			arg = append(arg, x)
		}
		r := rand.New(rand.NewPCG(uint64(arg[0]), 1))
		for i := range v {
			switch name {
			case "const":
				v[i] = arg[0]
			case "normal":
				v[i] = r.NormFloat64() * arg[1]
			case "add":
				if r.Float64() < arg[2] {
					v[i] += r.NormFloat64() * arg[1]
				}
			case "nan":
				v[int(arg[0])] = math.NaN()
			default:
				must(fmt.Errorf("no op %q", name))
			}
		}
	}
	for _, x := range v {
		switch e.DType {
		case checkpoint.BF16:
			e.Raw = binary.LittleEndian.AppendUint16(e.Raw, checkpoint.BF16From(float32(x)))
		case checkpoint.F32:
			e.Raw = binary.LittleEndian.AppendUint32(e.Raw, math.Float32bits(float32(x)))
		case checkpoint.I64:
			e.Raw = binary.LittleEndian.AppendUint64(e.Raw, uint64(int64(x)))
		default:
			must(fmt.Errorf("mkcheckpoint writes no %s", e.DType))
		}
	}
	if e.Raw == nil {
		e.Raw = []byte{}
	}
	return e
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func TestParseBytes(t *testing.T) {
	for s, want := range map[string]int64{"500M": 500 << 20, "8G": 8 << 30, "1.5GiB": 3 << 29, "123": 123, "": 0, "G": 0, "-1G": 0, "8X": 0, "8 G x": 0, "1e30": 0} {
		got, err := parseBytes(s)
		if got != want || (err != nil) != (want == 0) {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
}
