package task

import (
	"math/rand/v2"
	"strconv"
	"strings"
)

// A story is an opening that gives somebody a stock of things, events that change the
// stock, perhaps an aside that doesn't matter, and an ending that asks. The
// other person is always of the other sex, so that a pronoun names one of them.

type person struct{ name, she, her, them string } // subject, possessive, object

var women = names("She", "her", "her", "Anna", "Clara", "Emma", "Lily", "Mia", "Nora", "Ruth", "Vera")
var men = names("He", "his", "him", "Ben", "David", "Felix", "Hugo", "Leo", "Noah", "Paul", "Theo")

func names(she, her, them string, list ...string) []person {
	people := make([]person, len(list))
	for i, n := range list {
		people[i] = person{n, she, her, them}
	}
	return people
}

var things = []string{"apple", "pear", "plum", "marble", "stamp", "pencil", "sticker", "book", "shell", "button", "card", "lemon"}
var packs = []string{"bags", "boxes", "baskets"}

// effect is what a sentence does to the stock s, with numbers x and y of its own
// and k fixed by its wording.
type effect int

const (
	opens        effect = iota // s = x
	opensPacks                 // s = x*y
	opensBoth                  // s = x + y
	gains                      // s + x
	loses                      // s - x
	gainsPacks                 // s + x*y
	losesPacks                 // s - x*y
	multiplies                 // s * k
	divides                    // s / k
	asks                       // s
	asksTimes                  // s * x
	asksShare                  // s / x
	asksTogether               // s + (s + x)
)

// cost is the number of operations, hence of step lines.
func (f effect) cost() int {
	switch f {
	case opens, asks:
		return 0
	case gainsPacks, losesPacks, asksTogether:
		return 2
	}
	return 1
}

type sentence struct {
	effect effect
	k      int
	text   string
}

var openings = []sentence{
	{opens, 0, "{N} has {x} {things}."},
	{opensPacks, 0, "{N} has {x} {packs} of {y} {things}."},
	{opensBoth, 0, "{N} has {x} large {things} and {y} small {things}."},
}

var events = []sentence{
	{gains, 0, "{She} buys {x} more {things}."},
	{gains, 0, "{She} finds {x} {things}."},
	{gains, 0, "{M} gives {them} {x} {things}."},
	{loses, 0, "{She} sells {x} {things}."},
	{loses, 0, "{She} loses {x} {things}."},
	{loses, 0, "{She} gives {x} {things} to {M}."},
	{gainsPacks, 0, "{She} buys {x} {packs} of {y} {things}."},
	{losesPacks, 0, "{She} sells {x} {packs} of {y} {things}."},
	{multiplies, 2, "Then {her} {things} double in number."},
	{multiplies, 3, "Then {her} {things} triple in number."},
	{divides, 2, "{She} gives half of {her} {things} to {M}."},
	{divides, 3, "{She} keeps a third of {her} {things} and gives away the rest."},
	{divides, 4, "{She} keeps a quarter of {her} {things} and gives away the rest."},
}

var endings = []sentence{
	{asks, 0, "How many {things} does {N} have now?"},
	{asksTimes, 0, "{She} sells all {her} {things} for {x} coins each. How many coins does {N} get?"},
	{asksTimes, 0, "{M} has {x} times as many {things} as {N} has now. How many {things} does {M} have?"},
	{asksShare, 0, "{She} shares all {her} {things} equally among {x} friends. How many {things} does each friend get?"},
	{asksShare, 0, "{She} packs all {her} {things} into {packs} of {x}. How many {packs} does {N} fill?"},
	{asksTogether, 0, "{M} has {x} more {things} than {N} has now. How many {things} do they have together?"},
}

var asides = []string{"{M} is {x} years old.", "{M} has {x} {others}.", "The shop is open for {x} hours."}

// storyTexts is everything a story can be made of, for building Words.
func storyTexts() []string {
	var texts []string
	for _, list := range [][]sentence{openings, events, endings} {
		for _, s := range list {
			texts = append(texts, s.text)
		}
	}
	texts = append(append(texts, asides...), packs...)
	for i, t := range texts {
		texts[i] = placeholders.Replace(t)
	}
	for _, p := range append(append([]person{}, women...), men...) {
		texts = append(texts, p.name, p.she, p.her, p.them)
	}
	for _, t := range things {
		texts = append(texts, t+"s")
	}
	return texts
}

var placeholders = strings.NewReplacer("{N}", "", "{M}", "", "{She}", "", "{her}", "", "{them}", "",
	"{x}", "", "{y}", "", "{things}", "", "{others}", "", "{packs}", "")

// fill replaces one placeholder.
func fill(template, placeholder, value string) string {
	return strings.ReplaceAll(template, placeholder, value)
}

// teller writes one story.
type teller struct {
	rng           *rand.Rand
	sc            scale
	who, other    person
	things, apart string // the stock, and things that don't count
	packs         string // one kind a story, so that "into bags … how many bags" agree
	stock         int
	text, steps   []string
}

// draftStory draws a story of n operations. ok is false if the drawn sentences
// allow no numbers within the limits.
func draftStory(rng *rand.Rand, sc scale, n int) (p Problem, ok bool) {
	t := &teller{rng: rng, sc: sc}
	t.who, t.other = women[rng.IntN(len(women))], men[rng.IntN(len(men))]
	if rng.IntN(2) == 0 {
		t.who, t.other = t.other, t.who
	}
	i := rng.IntN(len(things))
	j := (i + 1 + rng.IntN(len(things)-1)) % len(things)
	t.things, t.apart = things[i]+"s", things[j]+"s"
	t.packs = packs[rng.IntN(len(packs))]

	opening := openings[rng.IntN(len(openings))]
	ending := endings[rng.IntN(len(endings))]
	left := n - opening.effect.cost() - ending.effect.cost()
	if left < 0 || !t.tell(opening) {
		return p, false
	}
	for left > 0 {
		e := events[rng.IntN(len(events))]
		if e.effect.cost() > left || !t.tell(e) {
			return p, false
		}
		left -= e.effect.cost()
	}
	if sc.asides > 0 && rng.IntN(2) == 0 {
		t.aside()
	}
	if !t.tell(ending) {
		return p, false
	}
	p.Question = strings.Join(t.text, " ")
	p.Steps = t.steps
	p.Answer = strconv.Itoa(t.stock)
	return p, true
}

// aside puts an irrelevant sentence after any of those told.
func (t *teller) aside() {
	s := t.write(asides[t.rng.IntN(len(asides))], 2+t.rng.IntN(14), 0)
	at := 1 + t.rng.IntN(len(t.text))
	t.text = append(t.text[:at], append([]string{s}, t.text[at:]...)...)
}

// tell draws the sentence's numbers, writes it down and works its operations.
func (t *teller) tell(s sentence) bool {
	x, y, ok := t.numbers(s)
	if !ok {
		return false
	}
	switch s.effect {
	case opens:
		t.stock = x
	case opensPacks:
		t.stock, ok = t.work(x, '*', y)
	case opensBoth:
		t.stock, ok = t.work(x, '+', y)
	case gains:
		t.stock, ok = t.work(t.stock, '+', x)
	case loses:
		t.stock, ok = t.work(t.stock, '-', x)
	case gainsPacks, losesPacks:
		op := byte('+')
		if s.effect == losesPacks {
			op = '-'
		}
		var packed int
		if packed, ok = t.work(x, '*', y); ok {
			t.stock, ok = t.work(t.stock, op, packed)
		}
	case multiplies:
		t.stock, ok = t.work(t.stock, '*', s.k)
	case divides:
		t.stock, ok = t.work(t.stock, '/', s.k)
	case asksTimes:
		t.stock, ok = t.work(t.stock, '*', x)
	case asksShare:
		t.stock, ok = t.work(t.stock, '/', x)
	case asksTogether:
		var theirs int
		if theirs, ok = t.work(t.stock, '+', x); ok {
			t.stock, ok = t.work(t.stock, '+', theirs)
		}
	}
	t.text = append(t.text, t.write(s.text, x, y))
	return ok
}

// numbers draws what the sentence needs; all are at least 2, so that every noun
// is in the plural.
func (t *teller) numbers(s sentence) (x, y int, ok bool) {
	switch s.effect {
	case opens:
		x, ok = amount(t.rng, t.sc.operand)
	case opensBoth:
		x, _ = amount(t.rng, t.sc.operand)
		y, ok = amount(t.rng, t.sc.operand)
	case gains, asksTogether:
		x, ok = amount(t.rng, min(t.sc.operand, t.sc.limit-t.stock))
	case loses:
		x, ok = amount(t.rng, min(t.sc.operand, t.stock-1))
	case opensPacks, gainsPacks, losesPacks:
		x = digit(t.rng)
		y, ok = amount(t.rng, min(t.sc.operand, 20))
	case asksTimes:
		x, ok = digit(t.rng), true
	case asksShare:
		x = digit(t.rng)
		ok = t.stock%x == 0
	default:
		ok = true
	}
	return x, y, ok
}

// work computes a op b as one step; ok is false outside 1…limit, and for a
// product with 1.
func (t *teller) work(a int, op byte, b int) (n int, ok bool) {
	n, ok = apply(a, op, b)
	if !ok || n > t.sc.limit || op == '*' && min(a, b) < 2 {
		return 0, false
	}
	t.steps = append(t.steps, equation(a, op, b, n))
	return n, true
}

// write fills a sentence's placeholders.
func (t *teller) write(template string, x, y int) string {
	return strings.NewReplacer("{N}", t.who.name, "{M}", t.other.name, "{She}", t.who.she, "{her}", t.who.her,
		"{them}", t.who.them, "{x}", strconv.Itoa(x), "{y}", strconv.Itoa(y), "{things}", t.things,
		"{others}", t.apart, "{packs}", t.packs).Replace(template)
}
