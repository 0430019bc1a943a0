package tensor

import (
	"os"
	"regexp"
	"testing"
)

// TestAVX2FilesStayInAVX2 looks for registers that only AVX-512 has. The
// generator's allocator takes them without a word once the first sixteen are
// used up, and a processor with AVX-512 runs them without a word too, so that
// running the kernels there proves nothing about the others.
func TestAVX2FilesStayInAVX2(t *testing.T) {
	files := []string{"gemm", "rows", "elem", "bf16", "wide"}
	beyond := regexp.MustCompile(`(?m)^.*\b([XY](1[6-9]|2\d|3[01])|Z\d+|K[0-7])\b.*$`)
	for _, f := range files {
		b, err := os.ReadFile(f + "_avx2_amd64.s")
		if err != nil {
			t.Fatal(err)
		}
		if m := beyond.Find(b); m != nil {
			t.Errorf("%s_avx2_amd64.s: %q needs AVX-512", f, m)
		}
	}
	if !beyond.MatchString("\tVMOVUPS (R10), Y16") || beyond.MatchString("\tVMOVUPS (R10), Y15") {
		t.Error("the test can't fail")
	}
}
