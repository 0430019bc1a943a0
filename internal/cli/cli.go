// Package cli is the command line: one file a subcommand, each wiring packages
// together and holding no algorithm of its own. Nothing imports it but main.
//
// Results go to stdout, everything else to stderr. With --json, stdout carries
// exactly one object. Exit codes: 0 done, 1 failed, 2 wrong use, 3 a --fail-if
// condition held, 130 interrupted.
package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
)

// Exit codes, as docs/cli.md documents them.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitFailIf      = 3
	exitInterrupted = 130
)

// app carries what every subcommand shares.
type app struct {
	args     []string // without the program's name
	in       io.Reader
	out, err io.Writer
	json     bool
	quiet    bool
	store    string      // URL of the record; "": as the environment says
	serves   *recordPart // of serve: its store, for the other parts
	conf     *configFile // of serve; nil: none
	traces   *tracingPart
	recorded *recording // of the command that runs; nil: it is not recorded
}

// usageError is wrong use: it ends with exit code 2.
type usageError struct{ error }

func usagef(format string, a ...any) error { return usageError{fmt.Errorf(format, a...)} }

func (e usageError) Unwrap() error { return e.error }

// Main runs the command line and returns the exit code. SIGINT and SIGTERM
// cancel the command's context, so that long work stops cleanly and keeps what
// it has; a second signal ends the process at once.
func Main(args []string, in io.Reader, out, errw io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // restore the default action: the second signal kills
	return run(ctx, args, in, out, errw)
}

func run(ctx context.Context, args []string, in io.Reader, out, errw io.Writer) int {
	a := &app{args: args, in: in, out: out, err: errw}
	root := a.root()
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(errw)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return exitDone
	}
	// An error may quote a server or a file.
	fmt.Fprintf(errw, "orrery: %s\n", oneLine(err.Error()))
	if interrupted(ctx, err) {
		return exitInterrupted
	}
	if errors.Is(err, errRule) {
		return exitFailIf
	}
	var usage usageError
	if errors.As(err, &usage) || isCobraUsage(err) {
		return exitUsage
	}
	return exitFailed
}

// interrupted reports whether err is how a command ended because of a signal.
func interrupted(ctx context.Context, err error) bool {
	return ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.Cause(ctx)))
}

// isCobraUsage recognises cobra's own untyped complaints about commands.
func isCobraUsage(err error) bool {
	s := err.Error()
	return strings.HasPrefix(s, "unknown command") || strings.HasPrefix(s, "required flag")
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "orrery",
		Short: "Make reasoning models think with fewer tokens, and see what they are doing",
		Long: `Orrery puts confidence-weighted voting and early stopping in front of any
OpenAI-compatible server, or of its own built-in reasoner, and trains, scores
and inspects small reasoning models.

Start with:  orrery ask "Compute (14 + 22) * 3 - 58 / 2."`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       version(),
		CompletionOptions: cobra.CompletionOptions{
			HiddenDefaultCmd: true,
		},
		// Also for commands that would only warn that they are not recorded.
		PersistentPreRunE: func(*cobra.Command, []string) error {
			if a.store == "" {
				return nil
			}
			_, _, err := a.storeURL()
			return err
		},
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usagef("unknown command %q: see 'orrery --help' for the list", args[0])
			}
			return nil
		},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		// Without the name of the function that could not read the value.
		words := strings.NewReplacer("strconv.ParseInt: ", "", "strconv.ParseUint: ", "", "strconv.ParseFloat: ", "", "strconv.ParseBool: ", "").Replace(err.Error())
		return usagef("%s: %s: see '%s --help'", cmd.Name(), words, cmd.CommandPath())
	})
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print one JSON object on stdout (docs/json.md)")
	root.PersistentFlags().BoolVarP(&a.quiet, "quiet", "q", false, "no progress on stderr")
	root.PersistentFlags().StringVar(&a.store, "store", "", "where runs are recorded: sqlite:PATH, postgres://… or none (default: $"+storeVariable+", or a file in your data folder)")
	for _, c := range commands {
		root.AddCommand(c(a))
	}
	return root
}

// commands lists the subcommands' constructors; each file adds its own.
var commands []func(*app) *cobra.Command

func register(c func(*app) *cobra.Command) { commands = append(commands, c) }

// exactArgs is cobra.ExactArgs with errors that say what is missing.
func exactArgs(n int, what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) != n {
			return usagef("%s wants %s, got %s: see '%s --help'", cmd.Name(), what, count(len(args), "argument"), cmd.CommandPath())
		}
		return nil
	}
}

// printJSON writes the one object of --json.
func (a *app) printJSON(v any) error {
	e := json.NewEncoder(a.out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			v += " " + s.Value[:12]
		}
	}
	return v
}
