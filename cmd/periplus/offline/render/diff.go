package render

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/pmezard/go-difflib/difflib"
)

// colours of a terminal; empty elsewhere.
type colours struct{ add, remove, at, head, end string }

func coloursOf(terminal bool) colours {
	if !terminal {
		return colours{}
	}
	return colours{"\x1b[32m", "\x1b[31m", "\x1b[36m", "\x1b[1m", "\x1b[0m"}
}

// shownClusters that a line names; more are counted.
const shownClusters = 8

func clusterList(names []string) string {
	if more := len(names) - shownClusters; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:shownClusters], ", "), more)
	}
	return strings.Join(names, ", ")
}

var signs = map[string]string{added: "+", removed: "-", changed: "~"}

// text prints the changes, each with its diff, and a summary.
func (c comparison) text(out io.Writer, from, to string, terminal bool) error {
	paint := coloursOf(terminal)
	bundle := ""
	for _, one := range c.changes {
		if one.bundle != bundle {
			bundle = one.bundle
			fmt.Fprintf(out, "%sbundle %s%s\n", paint.head, bundle, paint.end)
		}
		fmt.Fprintf(out, "%s%s %s%s  on %s  [%s]\n", paint.head, signs[one.kind], one.id, paint.end, clusterList(one.clusters), orDash(one.source))
		unified, err := difflib.GetUnifiedDiffString(difflib.UnifiedDiff{A: lines(one.before), B: lines(one.after), FromFile: from, ToFile: to, Context: 3})
		if err != nil {
			return err
		}
		for _, line := range strings.SplitAfter(unified, "\n") {
			if line == "" {
				continue
			}
			fmt.Fprintf(out, "  %s\n", paint.line(strings.TrimRight(line, "\n")))
		}
		fmt.Fprintln(out)
	}
	_, err := fmt.Fprintln(out, c.summary())
	return err
}

func (p colours) line(line string) string {
	switch {
	case p.end == "":
		return line
	case strings.HasPrefix(line, "+"):
		return p.add + line + p.end
	case strings.HasPrefix(line, "-"):
		return p.remove + line + p.end
	case strings.HasPrefix(line, "@@"):
		return p.at + line + p.end
	default:
		return line
	}
}

func lines(text string) []string {
	if text == "" {
		return nil
	}
	out := strings.SplitAfter(strings.TrimSuffix(text, "\n")+"\n", "\n")
	return out[:len(out)-1]
}

// summary counts objects of bundles, and where they are.
func (c comparison) summary() string {
	if len(c.changes) == 0 {
		return "nothing changes" + c.unknownText()
	}
	count, bundles, clusters := map[string]int{}, map[string]bool{}, map[string]bool{}
	for _, one := range c.changes {
		count[one.kind]++
		bundles[one.bundle] = true
		for _, cluster := range one.clusters {
			clusters[cluster] = true
		}
	}
	return fmt.Sprintf("+%d added -%d removed ~%d changed, in %s on %s%s", count[added], count[removed], count[changed],
		plural(len(bundles), "bundle"), plural(len(clusters), "cluster"), c.unknownText())
}

func (c comparison) unknownText() string {
	if len(c.unknown) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s not compared, as one side cannot be rendered", plural(len(c.unknown), "delivery"))
}

func plural(count int, noun string) string {
	switch {
	case count == 1:
		return "1 " + noun
	case strings.HasSuffix(noun, "y"):
		return fmt.Sprintf("%d %sies", count, strings.TrimSuffix(noun, "y"))
	default:
		return fmt.Sprintf("%d %ss", count, noun)
	}
}

// names prints one line a change, without the diff.
func (c comparison) names(out io.Writer) error {
	for _, one := range c.changes {
		if _, err := fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", one.kind, one.bundle, strings.Join(one.clusters, ","), one.id); err != nil {
			return err
		}
	}
	return nil
}

// json prints the changes as one document.
func (c comparison) json(out io.Writer) error {
	type row struct {
		Change   string   `json:"change"`
		Bundle   string   `json:"bundle"`
		Clusters []string `json:"clusters"`
		Object   any      `json:"object"`
		Source   string   `json:"source,omitempty"`
		Before   string   `json:"before,omitempty"`
		After    string   `json:"after,omitempty"`
	}
	type pair struct {
		Bundle  string `json:"bundle"`
		Cluster string `json:"cluster"`
	}
	rows, unknown := []row{}, []pair{}
	for _, one := range c.changes {
		rows = append(rows, row{one.kind, one.bundle, one.clusters, one.id, one.source, one.before, one.after})
	}
	for _, one := range c.unknown {
		unknown = append(unknown, pair{one.bundle, one.cluster})
	}
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(map[string]any{"changes": rows, "notCompared": unknown})
}
