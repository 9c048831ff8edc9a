package render

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/periplus-fleet/periplus/plugins/sdk/renderer"
)

const withheld = "it failed there; what it says is withheld, as it may quote secret inputs (periplus render shows it to who has the keys)"

// conceal keeps what a renderer says of secret inputs from conditions, logs and answers: it quotes values as it likes, cut and
// escaped, so that no search would find all. Where it failed is no secret.
func (r *Renderer) conceal(plan basePlan, err error) error {
	if !plan.secret || r.unmasked {
		return err
	}
	for _, known := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, known) {
			return fmt.Errorf("renderer %s: %w", plan.renderer.Name(), known)
		}
	}
	at := new(renderer.Error)
	if !errors.As(err, &at) {
		return fmt.Errorf("renderer %s: %s", plan.renderer.Name(), withheld)
	}
	if strings.HasSuffix(at.Message, ": "+errNoMatch.Error()) {
		return err
	}
	return renderer.Refuse(at.File, at.Line, "renderer %s: %s", plan.renderer.Name(), withheld)
}
