package task

import (
	"fmt"
	"strconv"
)

// expr is a whole-number expression: a leaf if op is 0, else l op r with op
// one of + - * /. Every subtree's value is held in n.
type expr struct {
	op   byte
	n    int
	l, r *expr
}

// leaf returns the expression of one number.
func leaf(n int) *expr { return &expr{n: n} }

// join returns l op r. ok is false if the value isn't a whole number of 1 or
// more: stocks never run negative and division is exact.
func join(l *expr, op byte, r *expr) (e *expr, ok bool) {
	n, ok := apply(l.n, op, r.n)
	return &expr{op: op, n: n, l: l, r: r}, ok
}

// apply computes a op b for whole numbers; ok is false unless the result is
// exact and at least 1.
func apply(a int, op byte, b int) (n int, ok bool) {
	switch op {
	case '+':
		n = a + b
	case '-':
		n = a - b
	case '*':
		n = a * b
	case '/':
		if b == 0 || a%b != 0 {
			return 0, false
		}
		n = a / b
	}
	return n, n >= 1
}

// equation is the step line of one operation, "12 + 7 = 19".
func equation(a int, op byte, b, n int) string {
	return fmt.Sprintf("%d %c %d = %d", a, op, b, n)
}

func precedence(op byte) int {
	switch op {
	case '+', '-':
		return 1
	case '*', '/':
		return 2
	}
	return 3
}

// String writes the fewest brackets with which a reader who knows precedence
// and left association rebuilds this very tree: a left operand is bracketed if
// it binds less tightly than its parent, a right operand also if equally.
func (e *expr) String() string {
	if e.op == 0 {
		return strconv.Itoa(e.n)
	}
	l, r := e.l.String(), e.r.String()
	if precedence(e.l.op) < precedence(e.op) {
		l = "(" + l + ")"
	}
	if precedence(e.r.op) <= precedence(e.op) {
		r = "(" + r + ")"
	}
	return l + " " + string(e.op) + " " + r
}

// steps appends one equation an operation in the order in which a
// left-to-right reader reduces: left operand, right operand, then the operation.
func (e *expr) steps(to []string) []string {
	if e.op == 0 {
		return to
	}
	to = e.r.steps(e.l.steps(to))
	return append(to, equation(e.l.n, e.op, e.r.n, e.n))
}
