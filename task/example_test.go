package task_test

import (
	"fmt"
	"math/rand/v2"

	"orrery/task"
)

func Example() {
	sums, err := task.Lookup("arithmetic")
	if err != nil {
		fmt.Println(err)
		return
	}
	p := sums.Generate(rand.New(rand.NewPCG(7, 0)), task.Easy)
	fmt.Println(p.Question)
	fmt.Println(p.Solution())
	fmt.Println(sums.Verify(p, p.Answer), sums.Verify(p, "0"))
	// Output:
	// Noah has 36 lemons. He keeps a third of his lemons and gives away the rest. He packs all his lemons into boxes of 6. How many boxes does Noah fill?
	// 36 / 3 = 12
	// 12 / 6 = 2
	// \boxed{2}
	// true false
}

func ExampleCountdown_Verify() {
	p := task.Problem{Question: "Use 5, 5, 5 and 1, each exactly once, with + - * / to make 24."}
	for _, answer := range []string{"5 * (5 - 1 / 5)", `5 \times \left(5 - \frac{1}{5}\right) = 24`, "5 * 5 - 1"} {
		fmt.Println(task.Countdown{}.Verify(p, answer))
	}
	// Output:
	// true
	// true
	// false
}

func ExampleParseFormula() {
	f, err := task.ParseFormula("1 / 3 + 1 / 6")
	fmt.Println(f.Value, f.Numbers, f.Ops, err)
	_, err = task.ParseFormula("2 * (3 +")
	fmt.Println(err)
	// Output:
	// 1/2 [1 3 1 6] /+/ <nil>
	// read formula: at byte 8 stands the end where a number or a bracket is due
}
