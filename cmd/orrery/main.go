// Command orrery makes reasoning models think with fewer tokens and shows what
// their thoughts, weights and training runs are doing.
package main

import (
	"os"

	"orrery/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
