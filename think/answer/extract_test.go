package answer

import (
	"regexp"
	"strings"
	"testing"
)

func TestBoxed(t *testing.T) {
	for _, c := range []struct {
		name, in, want string // "" for none
	}{
		{"one", `so \boxed{42}.`, "42"},
		{"last", `\boxed{1} then \boxed{2}`, "2"},
		{"fbox", `\fbox{7}`, "7"},
		{"blank before the brace", `\boxed {7}`, "7"},
		{"braces inside", `\boxed{\frac{1}{2}}`, `\frac{1}{2}`},
		{"escaped braces", `\boxed{\{1,2\}}`, `\{1,2\}`},
		{"escaped brace alone", `\boxed{a\}b}`, `a\}b`},
		{"row break before a brace", `\boxed{1\\{2}}`, `1\\{2}`},
		{"nested", `\boxed{\text{so }\boxed{5}}`, "5"},
		{"nested twice, last inner", `\boxed{\boxed{1}+\boxed{2}}`, "2"},
		{"half-written", `\boxed{1} and \boxed{2`, "1"},
		{"half-written around a complete one", `\boxed{2+\boxed{3}`, "3"},
		{"half-written, closed only inside", `\boxed{1} \boxed{\frac{1}{2}`, "1"},
		{"empty", `\boxed{1} goes into \boxed{ }`, "1"},
		{"stray closing brace", `} \boxed{4}`, "4"},
		{"stray opening brace", `{ \boxed{4}`, "4"},
		{"longer macro", `\boxedtext{4}`, ""},
		{"escaped backslash", `\\boxed{4}`, ""},
		{"no brace", `\boxed 4`, ""},
		{"cut in the macro", `\boxe`, ""},
		{"cut after it", `\boxed`, ""},
		{"none", `forty-two`, ""},
	} {
		got, ok := Boxed(c.in)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: Boxed(%q) = %q, %v, want %q", c.name, c.in, got, ok, c.want)
		}
	}
}

// Cutting a text anywhere must give a box that is complete before the cut,
// never the beginning of one.
func TestBoxedOfPartialText(t *testing.T) {
	const text = `First \boxed{12}, then \boxed{\frac{3}{45}} and \boxed{\{6,7\}}.`
	for cut := range len(text) + 1 {
		var want string
		for _, body := range []string{"12", `\frac{3}{45}`, `\{6,7\}`} {
			if strings.Contains(text[:cut], `\boxed{`+body+"}") {
				want = body
			}
		}
		if got, _ := Boxed(text[:cut]); got != want {
			t.Errorf("cut at %d (%q): %q, want %q", cut, text[:cut], got, want)
		}
	}
}

func TestExtract(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"box before pattern", `The final answer is 3. \boxed{4}`, "4"},
		{"after the thinking", `<think>\boxed{1}</think> It is \boxed{2}`, "2"},
		{"last end of thinking", `\boxed{1}</think>\boxed{2}</think>\boxed{3}`, "3"},
		{"thinking only", `<think>\boxed{1}</think> That was it.`, "1"},
		{"a pattern after the thinking wins", `\boxed{1}</think> The final answer is 2.`, "2"},
		{"unbraced", `so $\boxed 5$`, "5"},
		{"unbraced, dollar", `so $\boxed5$`, "5"},
		{"unbraced, parenthesis", `so \(\boxed 5\)`, "5"},
		{"unbraced, bracket", `so \[\boxed \frac12\]`, `\frac12`},
		{"unbraced, blank", `so \boxed -7 indeed`, "-7"},
		{"unbraced before a half-written one", `\boxed 5 no, \boxed{6`, "5"},
		{"final answer", `The final answer is 42.`, "42"},
		{"final answer, decimal", `The final answer is 3.14. Done.`, "3.14"},
		{"final answer, bold", "**Final answer:** 42\n", "42"},
		{"final answer on the next line", "Final Answer:\n\n**42**", "42"},
		{"answer", "Thus the answer is: 17", "17"},
		{"last answer", "Answer: 1\nNo.\nAnswer: 2\n", "2"},
		{"choice", "The correct option is (C) because of it.", "C"},
		{"choice after a colon", "Answer: B", "B"},
		{"gsm8k", "2+2=4\n#### 4", "4"},
		{"none", "I do not know.", ""},
		{"empty", "", ""},
		{"empty box only", `\boxed{}`, ""},
	} {
		got, ok := Extract(c.in)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("%s: Extract(%q) = %q, %v, want %q", c.name, c.in, got, ok, c.want)
		}
	}
}

func TestExtractChannels(t *testing.T) {
	for _, c := range []struct{ answer, reasoning, want string }{
		{`\boxed{1}`, `\boxed{2}`, "1"},
		{`The answer is 1.`, `\boxed{2}`, "1"},
		{"", `\boxed{2}`, "2"},
		{"Done.", `\boxed{2}</think> \boxed{3}`, "3"},
		{`\boxed{1`, `\boxed{2}`, "2"},
		{"", "", ""},
	} {
		got, ok := ExtractChannels(c.answer, c.reasoning)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("ExtractChannels(%q, %q) = %q, %v, want %q", c.answer, c.reasoning, got, ok, c.want)
		}
	}
}

func TestExtractTruncated(t *testing.T) {
	for _, c := range []struct{ answer, reasoning, want string }{
		{"The final answer is 4", "", ""}, // it may have become 42
		{"The final answer is 4\n", "", "4"},
		{"The final answer is 4.\nLet me che", "", "4"},
		{`so \boxed 12`, "", ""},
		{"so \\boxed 12\n", "", "12"},
		{`so \boxed{12}`, "", "12"},
		{`so \boxed{12} and \boxed{13`, "", "12"},
		{"\\boxed{1}\nno, \\boxed{2} or", "", "2"},
		{"\\boxed{\n12} whi", "", "12"},
		{"\\boxed{1}\nor again \\boxed{1}, an", "", "1"},
		{"Answer: 7\nAnswer: 1", "", "7"},
		{"", "The answer is 3", ""},
		{"", "The answer is 3\n", "3"},
		{"So", "The answer is 3", "3"}, // this channel was not cut
		{"", "", ""},
	} {
		got, ok := ExtractTruncated(c.answer, c.reasoning)
		if got != c.want || ok != (c.want != "") {
			t.Errorf("ExtractTruncated(%q, %q) = %q, %v, want %q", c.answer, c.reasoning, got, ok, c.want)
		}
	}
}

func TestPatterns(t *testing.T) {
	const text = "Result -> 12 units\nThe final answer is 3."
	own := Extractor{Patterns: []*regexp.Regexp{regexp.MustCompile(`-> (\d+)`)}}
	if got, _ := own.Extract(text); got != "12" {
		t.Errorf("own pattern gives %q, want 12", got)
	}
	bare := Extractor{Patterns: []*regexp.Regexp{regexp.MustCompile(`\d+ units`)}}
	if got, _ := bare.Extract(text); got != "12 units" {
		t.Errorf("a pattern without a group gives %q, want the whole match", got)
	}
	if got, ok := Extract("The final answer is 3." + strings.Repeat(" hm", patternReach/3)); ok {
		t.Errorf("a phrase beyond patternReach gives %q", got)
	}
	none := Extractor{Patterns: []*regexp.Regexp{}}
	if got, ok := none.Extract(text); ok {
		t.Errorf("an empty list of patterns still gives %q", got)
	}
}
