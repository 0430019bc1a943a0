package task

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Bounds on a formula. They are far above any countdown answer, and keep the
// work on a hostile one to microseconds: at most maxFormula/2 numbers of
// maxDigits digits.
const (
	maxFormula = 200 // bytes
	maxDepth   = 32  // nested brackets
	maxDigits  = 9
)

// Formula is an arithmetic expression that a model wrote.
type Formula struct {
	Value   *big.Rat
	Numbers []int    // every number left of "=", in order of appearance
	Ops     string   // every operator used, of "+-*/", in order of appearance
	Equals  *big.Rat // the number after a trailing "=", nil if there is none
}

// ParseFormula reads and evaluates an expression over whole numbers with
// + - * / and brackets, exactly. It also accepts × · ∗ ÷ and the Unicode minus, the
// LaTeX \times \cdot \div \frac \dfrac \tfrac \left \right, and dollar signs around
// the whole. There is no unary sign, no power and no implicit product. The error
// names the byte at which reading failed; division by zero is an error.
func ParseFormula(text string) (Formula, error) {
	if len(text) > maxFormula {
		return Formula{}, fmt.Errorf("read formula: %d bytes long, the limit is %d; give the expression alone", len(text), maxFormula)
	}
	p := formulaParser{text: strings.Trim(text, "$ \t\r\n")}
	value, err := p.sum(0)
	if err != nil {
		return Formula{}, err
	}
	f := Formula{Value: value, Numbers: p.numbers, Ops: string(p.ops)}
	if p.accept("=") {
		right := formulaParser{text: p.text, at: p.at}
		if f.Equals, err = right.number(); err != nil {
			return Formula{}, err
		}
		p.at = right.at
	}
	if p.skip(); p.at < len(p.text) {
		return Formula{}, p.fail("an operator or the end")
	}
	return f, nil
}

type formulaParser struct {
	text    string
	at      int
	numbers []int
	ops     []byte
}

func (p *formulaParser) fail(want string) error {
	found := "the end"
	if p.at < len(p.text) {
		_, n := utf8.DecodeRuneInString(p.text[p.at:])
		found = strconv.Quote(p.text[p.at : p.at+n])
	}
	return fmt.Errorf("read formula: at byte %d stands %s where %s is due", p.at, found, want)
}

// blanks are skipped between symbols; the LaTeX ones have no meaning.
var blanks = []string{" ", "\t", "\n", "\r", "\u00a0", `\left`, `\right`, `\,`, `\;`, `\!`, `\ `}

func (p *formulaParser) skip() {
	for again := true; again; {
		again = false
		for _, b := range blanks {
			if strings.HasPrefix(p.text[p.at:], b) {
				p.at += len(b)
				again = true
			}
		}
	}
}

// accept passes over any one of the symbols.
func (p *formulaParser) accept(symbols ...string) bool {
	p.skip()
	for _, s := range symbols {
		if strings.HasPrefix(p.text[p.at:], s) {
			p.at += len(s)
			return true
		}
	}
	return false
}

// sum reads products joined by + and -.
func (p *formulaParser) sum(depth int) (*big.Rat, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("read formula: brackets nested deeper than %d at byte %d; write fewer", maxDepth, p.at)
	}
	v, err := p.product(depth)
	for err == nil {
		var w *big.Rat
		switch {
		case p.accept("+"):
			p.ops = append(p.ops, '+')
			if w, err = p.product(depth); err == nil {
				v = new(big.Rat).Add(v, w)
			}
		case p.accept("-", "−", "–"):
			p.ops = append(p.ops, '-')
			if w, err = p.product(depth); err == nil {
				v = new(big.Rat).Sub(v, w)
			}
		default:
			return v, nil
		}
	}
	return nil, err
}

// product reads factors joined by * and /.
func (p *formulaParser) product(depth int) (*big.Rat, error) {
	v, err := p.factor(depth)
	for err == nil {
		var w *big.Rat
		switch {
		case p.accept("*", "×", "·", "∗", "⋅", `\times`, `\cdot`, `\ast`):
			p.ops = append(p.ops, '*')
			if w, err = p.factor(depth); err == nil {
				v = new(big.Rat).Mul(v, w)
			}
		case p.accept("/", "÷", "∕", `\div`):
			p.ops = append(p.ops, '/')
			if w, err = p.factor(depth); err == nil {
				v, err = p.quotient(v, w)
			}
		default:
			return v, nil
		}
	}
	return nil, err
}

func (p *formulaParser) quotient(v, w *big.Rat) (*big.Rat, error) {
	if w.Sign() == 0 {
		return nil, fmt.Errorf("read formula: division by zero before byte %d", p.at)
	}
	return new(big.Rat).Quo(v, w), nil
}

// factor reads a number, a bracket or a LaTeX fraction.
func (p *formulaParser) factor(depth int) (*big.Rat, error) {
	switch {
	case p.accept("("):
		return p.closed(depth, ")")
	case p.accept("["):
		return p.closed(depth, "]")
	case p.accept(`\frac`, `\dfrac`, `\tfrac`):
		var parts [2]*big.Rat
		for i := range parts {
			if !p.accept("{") {
				return nil, p.fail(`"{"`)
			}
			v, err := p.closed(depth, "}")
			if err != nil {
				return nil, err
			}
			parts[i] = v
			if i == 0 {
				p.ops = append(p.ops, '/')
			}
		}
		return p.quotient(parts[0], parts[1])
	}
	return p.number()
}

func (p *formulaParser) closed(depth int, bracket string) (*big.Rat, error) {
	v, err := p.sum(depth + 1)
	if err != nil {
		return nil, err
	}
	if !p.accept(bracket) {
		return nil, p.fail(strconv.Quote(bracket))
	}
	return v, nil
}

func (p *formulaParser) number() (*big.Rat, error) {
	p.skip()
	start := p.at
	for p.at < len(p.text) && '0' <= p.text[p.at] && p.text[p.at] <= '9' {
		p.at++
	}
	if p.at == start {
		return nil, p.fail("a number or a bracket")
	}
	if p.at-start > maxDigits {
		return nil, fmt.Errorf("read formula: the number at byte %d has more than %d digits", start, maxDigits)
	}
	n, err := strconv.Atoi(p.text[start:p.at])
	if err != nil {
		return nil, fmt.Errorf("read formula: number at byte %d: %w", start, err)
	}
	p.numbers = append(p.numbers, n)
	return ratOf(n), nil
}

func ratOf(n int) *big.Rat { return new(big.Rat).SetInt64(int64(n)) }
