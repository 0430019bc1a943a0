package answer_test

import (
	"fmt"

	"orrery/think/answer"
)

func Example() {
	texts := []string{
		`So the diagonal is \boxed{\sqrt{8}\text{ cm}}.`,
		`<think>8 = 4·2</think> The final answer is $2\sqrt2$.`,
		`\boxed{2.828}`,
		`I run out of`,
	}
	var keys []answer.Key
	for _, text := range texts {
		ans, _ := answer.Extract(text)
		keys = append(keys, answer.KeyOf(ans))
		fmt.Printf("%q → %q\n", ans, keys[len(keys)-1])
	}
	fmt.Println(answer.Merge(keys))
	// Output:
	// "\\sqrt{8}\\text{ cm}" → "(2*sqrt(2)) \\unit{cm}"
	// "$2\\sqrt2$" → "2*sqrt(2)"
	// "2.828" → "707/250"
	// "" → ""
	// [0 0 1 -1]
}
