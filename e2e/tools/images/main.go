// Command images builds the container images of the agent and the hub for Linux on amd64 and arm64, as OCI layouts, with
// nothing but go: no container runtime, no base image. The same commit gives the same digests. It fails when an image or
// its binary is larger than it may be.
//
//	images [-out dist] [-platforms amd64,arm64] [-json] [periplus-agent periplus-hub]
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

const mib = 1 << 20

// size of an image on one platform, in bytes.
type size struct {
	Image        string `json:"image"`
	Digest       string `json:"digest"`
	Architecture string `json:"architecture"`
	Binary       int64  `json:"binary"`
	Compressed   int64  `json:"compressed"`
}

func main() {
	out := flag.String("out", "dist", "`folder` of the layouts")
	platforms := flag.String("platforms", "amd64,arm64", "`architectures`, all of Linux")
	asJSON := flag.Bool("json", false, "print a JSON line a platform")
	flag.Parse()
	if err := run(os.Stdout, *out, strings.Split(*platforms, ","), flag.Args(), *asJSON); err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(w io.Writer, out string, architectures, wanted []string, asJSON bool) error {
	var tooLarge []string
	for _, p := range programs {
		if len(wanted) > 0 && !slices.Contains(wanted, p.name) {
			continue
		}
		sizes, err := p.build(out, architectures)
		if err != nil {
			return err
		}
		for _, s := range sizes {
			if err := tell(w, s, asJSON); err != nil {
				return err
			}
			if text := p.excess(s); text != "" {
				tooLarge = append(tooLarge, text)
			}
		}
	}
	if len(tooLarge) > 0 {
		return fmt.Errorf("%s", strings.Join(tooLarge, "; "))
	}
	return nil
}

func tell(w io.Writer, s size, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(w).Encode(s)
	}
	_, err := fmt.Fprintf(w, "%s %s linux/%s: binary %.1f MiB, image %.1f MiB compressed\n", s.Image, s.Digest, s.Architecture,
		float64(s.Binary)/mib, float64(s.Compressed)/mib)
	return err
}
