// Package docs_test holds the documentation to what it says: commands in it exist, and links lead somewhere.
package docs_test

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/periplus-fleet/periplus/cmd/periplus/root"
	"github.com/periplus-fleet/periplus/e2e/testenv"
)

// documents are all Markdown files, by their path from the module's folder.
func documents(t *testing.T) (top string, paths []string) {
	t.Helper()
	top, err := testenv.Root()
	if err != nil {
		t.Fatal(err)
	}
	err = filepath.WalkDir(top, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := entry.Name()
		if entry.IsDir() && (strings.HasPrefix(name, ".") || name == "bin" || name == "node_modules") {
			return fs.SkipDir
		}
		if strings.HasSuffix(name, ".md") {
			relative, err := filepath.Rel(top, path)
			if err != nil {
				return err
			}
			paths = append(paths, relative)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return top, paths
}

// eachLine visits the lines of fenced code, and the inline code of others.
func eachLine(t *testing.T, path string, visit func(number int, code string)) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	inline := regexp.MustCompile("`([^`]+)`")
	fenced := false
	for number, line := range strings.Split(string(data), "\n") {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			fenced = !fenced
			continue
		}
		if fenced {
			visit(number+1, line)
			continue
		}
		for _, match := range inline.FindAllStringSubmatch(line, -1) {
			visit(number+1, match[1])
		}
	}
}

func TestCommandsExist(t *testing.T) {
	top, paths := documents(t)
	makeCommand := regexp.MustCompile(`^\s*\$?\s*make ([a-z][a-z-]*)`)
	periplusCommand := regexp.MustCompile(`(?:^|\s|/)periplus ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?`)
	targets := map[string]bool{}
	tree := root.Command()
	// Cobra adds this one only when it runs.
	tree.InitDefaultCompletionCmd()
	for _, path := range paths {
		eachLine(t, filepath.Join(top, path), func(number int, code string) {
			if match := makeCommand.FindStringSubmatch(code); match != nil && !targets[match[1]] {
				if out, err := exec.Command("make", "-C", top, "-n", match[1]).CombinedOutput(); err != nil {
					t.Errorf("%s:%d: make %s does not exist: %s", path, number, match[1], out)
				}
				targets[match[1]] = true
			}
			match := periplusCommand.FindStringSubmatch(code)
			if match == nil || strings.Contains(code, "mkdir") {
				return
			}
			found, _, err := tree.Find([]string{match[1]})
			if err != nil || !found.HasParent() {
				t.Errorf("%s:%d: periplus %s does not exist", path, number, match[1])
				return
			}
			// A second word is a subcommand only where there are any.
			if match[2] != "" && found.HasSubCommands() {
				if sub, _, err := found.Find([]string{match[2]}); err != nil || sub == found {
					t.Errorf("%s:%d: periplus %s %s does not exist", path, number, match[1], match[2])
				}
			}
		})
	}
	if len(targets) == 0 {
		t.Error("no document names a make target: the pattern is wrong")
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	top, paths := documents(t)
	link := regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)
	for _, path := range paths {
		data, err := os.ReadFile(filepath.Join(top, path))
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range link.FindAllStringSubmatch(string(data), -1) {
			if strings.Contains(match[1], "://") || strings.HasPrefix(match[1], "mailto:") {
				continue
			}
			if _, err := os.Stat(filepath.Join(top, filepath.Dir(path), match[1])); err != nil {
				t.Errorf("%s: %s leads nowhere", path, match[1])
			}
		}
	}
}
