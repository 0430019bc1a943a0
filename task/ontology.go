package task

import (
	"math/rand/v2"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Claim says of a person, or of everything of a kind, that it is of a kind or has
// a property.
type Claim struct {
	Subject string `json:"subject"` // a person's name, or a kind in the singular
	Is      string `json:"is"`      // a kind in the singular, or a property
	Kind    bool   `json:"kind"`    // Is names a kind
	Negated bool   `json:"negated"`
}

// Ontology is what a ProntoQA question says.
type Ontology struct {
	Facts []Claim `json:"facts"` // about persons
	Rules []Claim `json:"rules"` // about kinds
	Query Claim   `json:"query"`
}

// Hops is the number of rules on the shortest way from the facts to the claim
// asked for or to its contrary, and whether it is so as asked; -1 and false if the
// question isn't Answerable.
func (o *Ontology) Hops() (hops int, holds bool) {
	yes, no := o.derive(false), o.derive(true)
	switch {
	case (yes >= 0) == (no >= 0):
		return -1, false
	case yes >= 0:
		return yes, !o.Query.Negated
	}
	return no, o.Query.Negated
}

// derive is the number of rules that the query's person takes to the claim with the
// given sign, -1 if there is no way: forward chaining, one round of rules at a time.
func (o *Ontology) derive(negated bool) int {
	type literal struct {
		is      string
		kind    bool
		negated bool
	}
	goal := literal{o.Query.Is, o.Query.Kind, negated}
	known := map[literal]bool{}
	for _, f := range o.Facts {
		if f.Subject == o.Query.Subject {
			known[literal{f.Is, f.Kind, f.Negated}] = true
		}
	}
	for round := 0; ; round++ {
		if known[goal] {
			return round
		}
		var fresh []literal
		for _, r := range o.Rules {
			if l := (literal{r.Is, r.Kind, r.Negated}); known[literal{r.Subject, true, false}] && !known[l] {
				fresh = append(fresh, l)
			}
		}
		if len(fresh) == 0 {
			return -1
		}
		for _, l := range fresh {
			known[l] = true
		}
	}
}

// Answerable reports whether the sentences decide the query: exactly one of the
// claim and its contrary follows.
func (o *Ontology) Answerable() bool { return (o.derive(false) >= 0) != (o.derive(true) >= 0) }

// String words a claim about a person.
func (c Claim) String() string {
	var b strings.Builder
	b.WriteString(c.Subject + " is ")
	if c.Negated {
		b.WriteString("not ")
	}
	if c.Kind {
		b.WriteString("a ")
	}
	b.WriteString(c.Is + ".")
	return b.String()
}

// wordRule words a claim about a kind, in one of three ways.
func wordRule(rng *rand.Rand, c Claim) string {
	switch rng.IntN(3) {
	case 0:
		return "Each " + c.String()
	case 1:
		return "Every " + c.String()
	}
	not := ""
	if c.Negated {
		not = "not "
	}
	is := c.Is
	if c.Kind {
		is = plural(is)
	}
	return capital(plural(c.Subject)) + " are " + not + is + "."
}

func plural(kind string) string { return kind + "es" }

func capital(s string) string {
	r, n := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(r)) + s[n:]
}

const prontoQuery = "True or false: "

// readClaim reads one sentence: "Each x is (not) (a) y.", "Every x is …", "Xes
// are (not) ys." or "N is (not) (a) y.". The plural is -es, as all kinds end in s.
func readClaim(sentence string) (c Claim, person, ok bool) {
	words := strings.Fields(strings.TrimSuffix(strings.TrimSpace(sentence), "."))
	singular := true
	switch {
	case len(words) > 3 && (words[0] == "Each" || words[0] == "Every") && words[2] == "is":
		c.Subject, words = words[1], words[3:]
	case len(words) > 2 && words[1] == "is":
		c.Subject, words, person = words[0], words[2:], true
	case len(words) > 2 && words[1] == "are":
		kind, isPlural := strings.CutSuffix(strings.ToLower(words[0]), "es")
		if !isPlural {
			return c, false, false
		}
		c.Subject, words, singular = kind, words[2:], false
	default:
		return c, false, false
	}
	if words[0] == "not" {
		c.Negated, words = true, words[1:]
	}
	if singular && len(words) == 2 && (words[0] == "a" || words[0] == "an") {
		c.Kind, words = true, words[1:]
	}
	if len(words) != 1 {
		return c, false, false
	}
	c.Is = words[0]
	if kind, isPlural := strings.CutSuffix(c.Is, "uses"); !singular && isPlural {
		c.Is, c.Kind = kind+"us", true
	}
	return c, person, true
}

// ontologyOfText reads a question, nil if it isn't ProntoQA's.
func ontologyOfText(question string) *Ontology {
	text, asked, ok := strings.Cut(question, prontoQuery)
	if !ok {
		return nil
	}
	o := &Ontology{}
	var person bool
	if o.Query, person, ok = readClaim(asked); !ok || !person {
		return nil
	}
	for s := range strings.SplitAfterSeq(text, ".") {
		if strings.TrimSpace(s) == "" {
			continue
		}
		c, person, ok := readClaim(s)
		switch {
		case !ok:
			return nil
		case person:
			o.Facts = append(o.Facts, c)
		default:
			o.Rules = append(o.Rules, c)
		}
	}
	return o
}
