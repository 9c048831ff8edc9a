// Package initrepo makes a new fleet repo.
package initrepo

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/periplus-fleet/periplus/cmd/periplus/client"
)

//go:embed all:template
var template embed.FS

// Command is `periplus init`.
func Command(env client.Env) *cobra.Command {
	return &cobra.Command{
		Use: "init FOLDER", Short: "Make a new fleet repo", Args: cobra.ExactArgs(1), Example: "  periplus init my-fleet",
		RunE: func(cmd *cobra.Command, args []string) error {
			printer, err := env.Printer(cmd)
			if err != nil {
				return err
			}
			written, err := write(args[0])
			if err != nil {
				return err
			}
			for _, name := range written {
				fmt.Fprintln(printer.Out, name)
			}
			printer.Hint(`Next:
  cd %s && git init -b main && git add . && git commit -m "Start the fleet"
  git remote add origin <url> && git push -u origin main
  kubectl apply -f fleetrepo.yaml     # on the hub's cluster, after setting its url`, args[0])
			return nil
		},
	}
}

// write copies the template into folder; it never writes over a file.
func write(folder string) ([]string, error) {
	root, err := fs.Sub(template, "template")
	if err != nil {
		return nil, err
	}
	var written []string
	err = fs.WalkDir(root, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		target := filepath.Join(folder, filepath.FromSlash(path))
		data, err := fs.ReadFile(root, path)
		if err != nil {
			return err
		}
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		file, err := os.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s exists already: choose an empty folder", target)
		}
		if err != nil {
			return err
		}
		_, err = file.Write(data)
		written = append(written, target)
		return errors.Join(err, file.Close())
	})
	return written, err
}
