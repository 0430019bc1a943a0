package task

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// deduction is a checker of its own, which knows the sentences only: claims are
// strings such as "lempus" and "not floral", a rule takes one to another.
type deduction struct {
	facts    map[string]bool // of the person asked about
	rules    map[string][]string
	sentence map[string]bool
	person   string
	query    string
}

var (
	ruleSingular = regexp.MustCompile(`^(?:Each|Every) (\w+us) is (not )?(?:a (\w+us)|(\w+))\.$`)
	rulePlural   = regexp.MustCompile(`^(\w+us)es are (not )?(?:(\w+us)es|(\w+))\.$`)
	factForm     = regexp.MustCompile(`^([A-Z][a-z]+) is (not )?(?:a (\w+us)|(\w+))\.$`)
)

func deduce(t *testing.T, question string) deduction {
	t.Helper()
	text, query, ok := strings.Cut(question, "True or false: ")
	if !ok {
		t.Fatalf("no query in %q", question)
	}
	d := deduction{facts: map[string]bool{}, rules: map[string][]string{}, sentence: map[string]bool{}}
	claim := func(m []string) string { return m[2] + m[3] + m[4] }
	m := factForm.FindStringSubmatch(query)
	if m == nil {
		t.Fatalf("the query %q isn't a claim about a person", query)
	}
	d.person, d.query = m[1], claim(m)
	for _, s := range regexp.MustCompile(`[^.]+\.`).FindAllString(text, -1) {
		s = strings.TrimSpace(s)
		if d.sentence[s] {
			t.Fatalf("%q stands twice in %q", s, question)
		}
		d.sentence[s] = true
		if m := ruleSingular.FindStringSubmatch(s); m != nil {
			d.rules[m[1]] = append(d.rules[m[1]], claim(m))
		} else if m := rulePlural.FindStringSubmatch(s); m != nil {
			k := strings.ToLower(m[1])
			d.rules[k] = append(d.rules[k], claim(m))
		} else if m := factForm.FindStringSubmatch(s); m != nil {
			if m[1] != d.person {
				t.Fatalf("%q isn't about %s", s, d.person)
			}
			d.facts[claim(m)] = true
		} else {
			t.Fatalf("what does %q say?", s)
		}
	}
	return d
}

// all is everything that follows of the person, with the number of rules it takes.
func (d deduction) all() map[string]int {
	known := map[string]int{}
	for f := range d.facts {
		known[f] = 0
	}
	for changed := true; changed; {
		changed = false
		for k, list := range d.rules {
			n, ok := known[k]
			for _, c := range list {
				if old, has := known[c]; ok && (!has || n+1 < old) {
					known[c], changed = n+1, true
				}
			}
		}
	}
	return known
}

func contrary(claim string) string {
	if rest, ok := strings.CutPrefix(claim, "not "); ok {
		return rest
	}
	return "not " + claim
}

// The sentences alone decide each question, as the answer and the steps say.
func TestProntoQAFollowsFromItsSentences(t *testing.T) {
	for level, hops := range map[Level]int{Easy: 3, Standard: 5, Hard: 8} {
		rng := source(31)
		for range 200 {
			p := ProntoQA{}.Generate(rng, level)
			d := deduce(t, p.Question)
			known := d.all()
			yes, isYes := known[d.query]
			no, isNo := known[contrary(d.query)]
			if isYes == isNo || max(yes, no) != hops || p.Answer != map[bool]string{true: "True", false: "False"}[isYes] {
				t.Fatalf("%v: affirmed in %d (%v), denied in %d (%v), answer %s:\n%s", level, yes, isYes, no, isNo, p.Answer, p.Question)
			}
			o := p.Data.(*Ontology)
			if n, holds := o.Hops(); n != hops || holds != isYes || !o.Answerable() {
				t.Fatalf("%v: the ontology has %d hops, holds %v", level, n, holds)
			}
			// Each step but the last: what is known of the person, and a sentence of the
			// question that makes more known.
			if len(p.Steps) != hops+1 {
				t.Fatalf("%v: %d steps", level, len(p.Steps))
			}
			for i, s := range p.Steps {
				fact, rule, pair := strings.Cut(s, ". ")
				m := factForm.FindStringSubmatch(strings.TrimSuffix(fact, ".") + ".")
				if m == nil || m[1] != d.person || known[m[2]+m[3]+m[4]] != i || pair == (i == hops) || pair && !d.sentence[rule] {
					t.Fatalf("%v: step %d is %q in\n%s", level, i, s, p.Question)
				}
			}
		}
	}
}

// The shape of the published ontologies, in the sentences.
func TestProntoQAShape(t *testing.T) {
	family := map[string]int{}
	for i, f := range families {
		for _, w := range f {
			if _, dup := family[w]; dup {
				t.Errorf("%q is in two families", w)
			}
			family[w] = i
		}
	}
	rng := source(32)
	const n = 2000
	negated, right, second := 0, 0, 0
	for range n {
		p := ProntoQA{}.Generate(rng, Standard)
		d := deduce(t, p.Question)
		known := d.all()
		properties := map[int]int{}
		parents, bearers := 0, 0
		for k, list := range d.rules {
			up := 0
			for _, c := range list {
				if f, ok := family[strings.TrimPrefix(c, "not ")]; ok {
					properties[f]++
					bearers++
				} else {
					up++
				}
			}
			parents += up
			if _, ours := known[k]; up > 0 && (!ours || up > 2) {
				t.Fatalf("%s has %d parents (known: %v) in\n%s", k, up, ours, p.Question)
			}
		}
		// Four chain links, their four second parents, and the chain apart; properties of five
		// kinds of the chain, four second parents, the chain apart, and the contrary one.
		if parents != 9 || bearers != 11 || len(d.facts) != 2 {
			t.Fatalf("%d is-a rules, %d properties, %d facts in\n%s", parents, bearers, len(d.facts), p.Question)
		}
		asked := family[strings.TrimPrefix(d.query, "not ")]
		for f, times := range properties {
			if times != 1 && (f != asked || times != 2) {
				t.Fatalf("family %d is used %d times in\n%s", f, times, p.Question)
			}
		}
		negated += int(bit(strings.HasPrefix(d.query, "not ")))
		right += int(bit(p.Answer == "True"))
		second += int(bit(p.Data.(*Ontology).Facts[1].Is+"." == strings.Fields(p.Steps[0])[3]))
	}
	// Three coins, within 4.5 standard errors.
	for name, k := range map[string]int{"negated query": negated, "True": right, "fact of the chain second": second} {
		if math.Abs(float64(k)-n/2) > 4.5*math.Sqrt(n)/2 {
			t.Errorf("%s in %d of %d", name, k, n)
		}
	}
}

// The three wordings, and their reading.
func TestReadClaim(t *testing.T) {
	for sentence, want := range map[string]Claim{
		"Each lempus is a rompus.":      {"lempus", "rompus", true, false},
		"Every lempus is not luminous.": {"lempus", "luminous", false, true},
		"Lempuses are rompuses.":        {"lempus", "rompus", true, false},
		"Lempuses are not kind.":        {"lempus", "kind", false, true},
		"Lempuses are not rompuses.":    {"lempus", "rompus", true, true},
		"Stella is a lempus.":           {"Stella", "lempus", true, false},
		"Stella is not floral.":         {"Stella", "floral", false, true},
	} {
		c, person, ok := readClaim(sentence)
		if !ok || c != want || person != strings.HasPrefix(sentence, "Stella") {
			t.Errorf("%q is read as %+v, of a person %v, %v", sentence, c, person, ok)
		}
	}
	for _, sentence := range []string{"", ".", "Every lempus.", "Every lempus is.", "Stella is not.", "Lempuses are not.", "Lempus are big.",
		"Lempuses are very big.", "No lempus is a rompus.", "Stella was a lempus.", "Stella is a big lempus."} {
		if c, _, ok := readClaim(sentence); ok {
			t.Errorf("%q is read as %+v", sentence, c)
		}
	}
	rng := source(33)
	for range 200 {
		c := Claim{"lempus", "rompus", rng.IntN(2) == 0, rng.IntN(2) == 0}
		if !c.Kind {
			c.Is = "luminous"
		}
		if got, person, ok := readClaim(wordRule(rng, c)); !ok || person || got != c {
			t.Fatalf("%+v is read as %+v", c, got)
		}
	}
}

// prontoFile writes problems as the published files do.
func prontoFile(t testing.TB, problems []Problem) []byte {
	t.Helper()
	items := []map[string]any{}
	for _, p := range problems {
		items = append(items, map[string]any{"question": p.Question, "answer": p.Answer, "steps": p.Steps})
	}
	b, err := json.Marshal(items)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestProntoQAFile(t *testing.T) {
	rng := source(34)
	var problems []Problem
	for range 30 {
		problems = append(problems, ProntoQA{}.Generate(rng, Standard))
	}
	read, err := ProntoQA{}.ReadFile(bytes.NewReader(prontoFile(t, problems)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(read, problems) {
		t.Error("problems changed on the way through a file")
	}
	const other = `[
	{"question": "Wumpuses are shy. Max is a lempus. True or false: Max is shy.", "answer": "True", "steps": []},
	{"question": "Lempuses are shy. Lempuses are not shy. Max is a lempus. True or false: Max is shy.", "answer": "True", "steps": []},
	{"question": "Nothing shy is a lempus. Max is a lempus. True or false: Max is shy.", "answer": "False", "steps": ["Max is a lempus."]},
	{"question": "All bompuses rest. Is Max a bompus?", "answer": "False", "steps": []}]`
	read, err = ProntoQA{}.ReadFile(strings.NewReader(other))
	if err != nil || len(read) != 4 {
		t.Fatalf("%d problems, %v", len(read), err)
	}
	for i := range 2 {
		if o := read[i].Data.(*Ontology); o.Answerable() {
			t.Errorf("item %d decides its answer", i)
		} else if n, holds := o.Hops(); n != -1 || holds {
			t.Errorf("item %d: %d hops, holds %v", i, n, holds)
		}
	}
	if read[2].Data != nil || read[3].Data != nil || !(ProntoQA{}).Verify(read[2], "False") {
		t.Error("other wordings are to come through as they are")
	}
	for file, want := range map[string]struct {
		field string
		item  int
	}{
		`{}`: {"", 0}, `[{"question": "x"}]`: {"answer", 0},
		`[{"question": "x", "answer": "Yes", "steps": []}]`:                                                                  {"answer", 0},
		`[{"question": "x", "answer": "True", "steps": [1]}]`:                                                                {"steps", 0},
		`[{"question": "Lempuses are shy. Max is a lempus. True or false: Max is not shy.", "answer": "True", "steps": []}]`: {"answer", 0},
		`[{"question": "x", "answer": "True", "steps": []}, {"question": "a\nb", "answer": "True", "steps": []}]`:            {"question", 1},
	} {
		problems, err := ProntoQA{}.ReadFile(strings.NewReader(strings.ReplaceAll(file, "\n", `\n`)))
		var bad *FieldError
		if !errors.As(err, &bad) || bad.Field != want.field || bad.Item != want.item || problems != nil || !strings.HasPrefix(err.Error(), "prontoqa item") {
			t.Errorf("%s: %v, want item %d, field %q", file, err, want.item, want.field)
		}
	}
}

func TestProntoQAVerify(t *testing.T) {
	p := Problem{Question: "x", Answer: "False"}
	for answer, want := range map[string]bool{"False": true, "false.": true, " FALSE ": true, `\text{False}`: true, "True": false, "": false, "not False": false} {
		if (ProntoQA{}).Verify(p, answer) != want {
			t.Errorf("%q marked %v", answer, !want)
		}
	}
}

// Whatever the bytes, reading ends in a *FieldError or in problems, whose ontologies
// can be asked.
func FuzzProntoQAReadFile(f *testing.F) {
	f.Add(prontoFile(f, []Problem{ProntoQA{}.Generate(source(35), Easy)}))
	f.Add([]byte(`[{"question":"Lempuses are lempuses. Max is a lempus. True or false: Max is not a lempus.","answer":"False","steps":[""]}]`))
	f.Add([]byte(`[{"question":"True or false: X is not.","answer":"True","steps":[]}]`))
	f.Fuzz(func(t *testing.T, b []byte) {
		problems, err := ProntoQA{}.ReadFile(bytes.NewReader(b))
		if err != nil {
			var bad *FieldError
			if !errors.As(err, &bad) || problems != nil {
				t.Fatalf("%d problems beside the error %v", len(problems), err)
			}
			return
		}
		for _, p := range problems {
			if o, ok := p.Data.(*Ontology); ok {
				hops, holds := o.Hops()
				if (hops >= 0) != o.Answerable() || o.Answerable() && holds != (p.Answer == "True") {
					t.Fatalf("%d hops, answerable %v, holds %v: %+v", hops, o.Answerable(), holds, p)
				}
			}
			if !slices.Contains([]string{"True", "False"}, p.Answer) {
				t.Fatalf("the answer %q is read", p.Answer)
			}
		}
	})
}
