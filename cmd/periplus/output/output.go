// Package output prints what commands found: a table on a terminal, tab-separated when piped, JSON or YAML when asked.
package output

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"
	"sigs.k8s.io/yaml"
)

// Printer writes to a command's streams.
type Printer struct {
	Out, Err io.Writer
	// Format is "", json or yaml.
	Format string
	// Terminal says whether Out is one.
	Terminal bool
}

// New prints to the streams in the format.
func New(out, err io.Writer, format string) (*Printer, error) {
	switch format {
	case "", "json", "yaml":
	default:
		return nil, fmt.Errorf("-o %q: want json or yaml", format)
	}
	file, ok := out.(*os.File)
	return &Printer{Out: out, Err: err, Format: format, Terminal: ok && IsTerminal(file)}, nil
}

// IsTerminal says whether somebody looks at a file.
func IsTerminal(file *os.File) bool {
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// Message prints a whole answer when a format was asked for, and says whether it did.
func (p *Printer) Message(message proto.Message) (bool, error) {
	if p.Format == "" {
		return false, nil
	}
	compact, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(message)
	if err != nil {
		return true, err
	}
	if p.Format == "yaml" {
		text, err := yaml.JSONToYAML(compact)
		if err != nil {
			return true, err
		}
		_, err = p.Out.Write(text)
		return true, err
	}
	// protojson varies its spacing on purpose; indenting again makes the output the same each time.
	var value any
	if err := json.Unmarshal(compact, &value); err != nil {
		return true, err
	}
	encoder := json.NewEncoder(p.Out)
	encoder.SetIndent("", "  ")
	return true, encoder.Encode(value)
}

// Table prints rows below a header; without a terminal there is no header and one tab between cells.
func (p *Printer) Table(header []string, rows [][]string) error {
	if !p.Terminal {
		for _, row := range rows {
			if _, err := fmt.Fprintln(p.Out, strings.Join(row, "\t")); err != nil {
				return err
			}
		}
		return nil
	}
	writer := tabwriter.NewWriter(p.Out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(writer, strings.Join(header, "\t"))
	for _, row := range rows {
		fmt.Fprintln(writer, strings.Join(row, "\t"))
	}
	return writer.Flush()
}

// Hint says what to do next; it goes to standard error, so that pipes stay clean.
func (p *Printer) Hint(format string, args ...any) {
	fmt.Fprintf(p.Err, format+"\n", args...)
}

// Age is how long ago, in the largest unit that says enough; "-" for never.
func Age(stamp *timestamppb.Timestamp, now time.Time) string {
	if stamp == nil {
		return "-"
	}
	age := now.Sub(stamp.AsTime())
	switch {
	case age < 0:
		return "0s"
	case age < 2*time.Minute:
		return fmt.Sprintf("%ds", int(age.Seconds()))
	case age < 2*time.Hour:
		return fmt.Sprintf("%dm", int(age.Minutes()))
	case age < 48*time.Hour:
		return fmt.Sprintf("%dh", int(age.Hours()))
	default:
		return fmt.Sprintf("%dd", int(age.Hours()/24))
	}
}

// Short shortens a commit or digest for a table.
func Short(name string) string {
	if _, hex, ok := strings.Cut(name, ":"); ok {
		name = hex
	}
	if len(name) > 12 {
		return name[:12]
	}
	if name == "" {
		return "-"
	}
	return name
}

// Dash is text, or "-" where there is none.
func Dash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}
