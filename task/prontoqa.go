package task

import (
	"math/rand/v2"
	"strings"
)

// ProntoQA is deduction over made-up kinds (Saparov & He, arXiv 2210.01240; five hops
// as in arXiv 2412.06769): is-a rules lead from what a person is to a kind with a
// property, and the query asks whether the person has that property.
//
//	level     hops (is-a rules and the property rule)
//	Easy      3
//	Standard  5, as published
//	Hard      8
//
// Around the chain c0 → c1 → … stand a second parent for every kind that has one,
// a property for every kind of these, each from a family of its own while
// families last, a separate chain of two kinds that the person belongs to as
// well, and another kind with the opposite property. Half of the properties, and
// half of the queries, are negated. A step is a fact and the rule that applies to it,
// in the question's words; the last is the conclusion.
//
// That other kind stands in one sentence and the right one in two, so who counts
// needs no chain: Survey says how far that gets.
//
// Every generated problem carries an *Ontology as its Data.
type ProntoQA struct{}

func init() { Register(ProntoQA{}) }

// The published names of persons and families of properties. Kinds are ProsQA's.
var (
	prontoPersons = [...]string{"Alex", "Fae", "Max", "Polly", "Rex", "Sally", "Sam", "Stella", "Wren"}
	families      = [...][]string{
		{"blue", "red", "brown", "orange"}, {"small", "large"}, {"metallic", "wooden", "luminous", "liquid"},
		{"transparent", "opaque"}, {"nervous", "happy", "feisty", "shy"}, {"bright", "dull"},
		{"sweet", "sour", "spicy", "bitter"}, {"floral", "fruity", "earthy"}, {"hot", "cold", "temperate"},
		{"kind", "mean", "angry", "amenable", "aggressive"}, {"melodic", "muffled", "discordant", "loud"},
		{"slow", "moderate", "fast"}, {"windy", "sunny", "overcast", "rainy", "snowy"},
	}
)

func (ProntoQA) Name() string { return "prontoqa" }

func (ProntoQA) About() string {
	return "is a person said to have a property? rules about made-up kinds lead there, others lead away"
}

func (ProntoQA) Instruction() string {
	return `Apply the rules one by one to what is said of the person, and put True or False alone in \boxed{}.`
}

// Words lists the words of the sentences, the persons, the kinds in singular and
// plural, and the properties.
func (ProntoQA) Words() []string {
	texts := append([]string{"Each Every is a are not", "True or false: False"}, prontoPersons[:]...)
	for _, k := range kinds {
		texts = append(texts, k, plural(k), capital(plural(k)))
	}
	for _, f := range families {
		texts = append(texts, f...)
	}
	return wordsIn(texts...)
}

// Verify accepts True and False, in any case, and as a sentence of one word.
func (ProntoQA) Verify(p Problem, answer string) bool {
	return sameAnswer(p.Answer, strings.TrimSuffix(strings.TrimSpace(answer), "."))
}

func prontoHops(level Level) int {
	switch level {
	case Easy:
		return 3
	case Hard:
		return 8
	}
	return 5
}

// Generate draws an ontology, words it, and asks.
func (ProntoQA) Generate(rng *rand.Rand, level Level) Problem {
	hops := prontoHops(level)
	d := deck{rng: rng, kinds: rng.Perm(len(kinds)), families: rng.Perm(len(families))}
	person := prontoPersons[rng.IntN(len(prontoPersons))]
	// The property asked for, and the kind that has its opposite.
	p := d.property()
	p.Negated = rng.IntN(2) == 0
	chain := d.draw(hops)
	others := d.draw(hops - 1)
	apart := d.draw(2)
	odd := d.draw(1)[0]

	var rules, aside []Claim
	for i, c := range chain[:hops-1] {
		rules = append(rules, Claim{c, chain[i+1], true, false})
		aside = append(aside, Claim{c, others[i], true, false})
	}
	rules = append(rules, p.of(chain[hops-1]))
	bearers := append(append([]string{}, chain[:hops-1]...), others...)
	rng.Shuffle(len(bearers), func(i, j int) { bearers[i], bearers[j] = bearers[j], bearers[i] })
	for _, k := range append([]string{apart[0]}, bearers...) {
		if len(d.families) > 0 {
			q := d.property()
			q.Negated = rng.IntN(2) == 0
			aside = append(aside, q.of(k))
		}
	}
	opposite := p
	opposite.Negated = !p.Negated
	aside = append(aside, Claim{apart[0], apart[1], true, false}, opposite.of(odd))

	facts := []Claim{{person, chain[0], true, false}, {person, apart[0], true, false}}
	query := p.of(person)
	query.Negated = rng.IntN(2) == 0
	return tell(rng, level, rules, aside, facts, query)
}

// deck deals kinds and families, each once.
type deck struct {
	rng             *rand.Rand
	kinds, families []int
}

func (d *deck) draw(n int) []string {
	drawn := make([]string, n)
	for i, at := range d.kinds[:n] {
		drawn[i] = kinds[at]
	}
	d.kinds = d.kinds[n:]
	return drawn
}

// property draws one of the next family.
func (d *deck) property() Claim {
	f := families[d.families[0]]
	d.families = d.families[1:]
	return Claim{Is: f[d.rng.IntN(len(f))]}
}

func (c Claim) of(subject string) Claim {
	c.Subject = subject
	return c
}

// tell words everything: rules is the chain in order, to whose first premise
// facts[0] applies.
func tell(rng *rand.Rand, level Level, rules, aside, facts []Claim, query Claim) Problem {
	o := &Ontology{Facts: facts, Rules: append(append([]Claim{}, rules...), aside...), Query: query}
	words := make([]string, len(o.Rules))
	for i, r := range o.Rules {
		words[i] = wordRule(rng, r)
	}
	steps := make([]string, 0, len(rules)+1)
	for i, r := range rules {
		known := Claim{query.Subject, r.Subject, true, false}
		steps = append(steps, known.String()+" "+words[i])
	}
	last := rules[len(rules)-1].of(query.Subject)
	steps = append(steps, last.String())

	order := rng.Perm(len(o.Rules))
	sentences := make([]string, 0, len(order)+3)
	shuffled := make([]Claim, len(order))
	for i, at := range order {
		sentences = append(sentences, words[at])
		shuffled[i] = o.Rules[at]
	}
	o.Rules = shuffled
	if rng.IntN(2) == 0 {
		o.Facts = []Claim{facts[1], facts[0]}
	}
	for _, f := range o.Facts {
		sentences = append(sentences, f.String())
	}
	sentences = append(sentences, prontoQuery+query.String())
	answer := "False"
	if last.Negated == query.Negated {
		answer = "True"
	}
	return Problem{Task: ProntoQA{}.Name(), Question: strings.Join(sentences, " "), Steps: steps, Answer: answer, Level: level, Data: o}
}
