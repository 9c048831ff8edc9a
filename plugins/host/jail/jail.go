// Package jail is what a plugin's process does before it becomes the plugin: it gives up, for good and for all that it
// starts, what no namespace takes away. The host starts its own program as a jail, and the jail executes the plugin.
package jail

import (
	"encoding/json"
	"errors"
	"fmt"
)

// Spec of a jail.
type Spec struct {
	// Program to execute with Args, its own name first.
	Program string   `json:"program"`
	Args    []string `json:"args"`
	// NoNetwork leaves Unix sockets only.
	NoNetwork bool `json:"noNetwork,omitempty"`
	// Memory in bytes.
	Memory int64 `json:"memory"`
	// MaxFile bounds each file that is written.
	MaxFile int64 `json:"maxFile"`
	// Folder is the one that may be written to; Read are files and folders that may be read beside those of the system.
	Folder string   `json:"folder"`
	Read   []string `json:"read,omitempty"`
}

// Argument is the spec as the jail's program takes it.
func (s Spec) Argument() string {
	text, err := json.Marshal(s)
	if err != nil {
		// Strings and numbers can be encoded.
		panic(err)
	}
	return string(text)
}

// Enter becomes the plugin that the argument describes; it returns only if that failed.
func Enter(argument string) error {
	var spec Spec
	if err := json.Unmarshal([]byte(argument), &spec); err != nil {
		return fmt.Errorf("cannot read what to confine: %w", err)
	}
	if spec.Program == "" || len(spec.Args) == 0 {
		return errors.New("cannot confine a plugin without a program")
	}
	if err := enter(spec); err != nil {
		return fmt.Errorf("cannot confine %q: %w", spec.Args[0], err)
	}
	return nil
}
