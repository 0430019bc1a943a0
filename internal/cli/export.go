package cli

import (
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"orrery/internal/local"
	"orrery/learn/export"
)

func init() { register(exportCommand) }

func exportCommand(a *app) *cobra.Command {
	var format, dir string
	c := &cobra.Command{
		Use:   "export [MODEL]",
		Short: "Hugging Face or GGUF files of a model, for other engines",
		Long: `Export writes a trained model's folder, or the built-in model if none is given,
as files that transformers, vLLM, SGLang, llama.cpp and Ollama load.`,
		Example: "  orrery export --format gguf --out exported\n  orrery export runs/builtin/final --format hf --out exported",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usagef("export wants one model folder, got %d", len(args))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			known := false
			for _, f := range export.Formats() {
				known = known || f == format
			}
			if !known {
				return usagef("--format %q: known are %s", format, strings.Join(export.Formats(), ", "))
			}
			if dir == "" {
				return usagef("export wants a folder to write to: --out DIR")
			}
			var files fs.FS = local.BuiltinFiles()
			name := "the built-in model"
			if len(args) == 1 {
				files, name = os.DirFS(args[0]), args[0]
			}
			m, v, err := local.Load(files)
			if err != nil {
				return fmt.Errorf("export %s: %w: give the folder of a trained model, such as runs/NAME/final", name, err)
			}
			if err := export.Export(format, m, v, dir); err != nil {
				return fmt.Errorf("%w: choose a folder that can be written to with --out", err)
			}
			if a.json {
				return a.printJSON(map[string]any{"version": 1, "format": format, "dir": dir, "parameters": m.Size()})
			}
			_, err = fmt.Fprintf(a.out, "exported %s as %s to %s\n", name, format, dir)
			return err
		},
	}
	c.Flags().StringVar(&format, "format", "hf", strings.Join(export.Formats(), ", "))
	c.Flags().StringVarP(&dir, "out", "o", "", "folder to write to")
	return c
}
