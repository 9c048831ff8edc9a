package desired

import (
	"context"
	"slices"
	"time"

	"github.com/periplus-fleet/periplus/api/content"
)

const (
	// warmPacks are held for warmTime after the last use: bundles that are applied one after the other share packs, and an
	// agent at rest holds none.
	warmPacks = 4
	warmTime  = 5 * time.Second
)

// warm holds the packs that were read last, decoded. Its owner's lock guards it.
type warm struct {
	// names from the one that was used last.
	names []string
	packs map[string]map[content.Digest][]byte
	timer *time.Timer
}

// recall is read for those who leave the result as it is.
func (s *Store) recall(ctx context.Context, p held) (map[content.Digest][]byte, error) {
	blobs, known := s.warm.packs[p.name]
	if !known {
		var err error
		if blobs, err = s.read(ctx, p); err != nil {
			return nil, err
		}
	}
	s.warm.keep(p.name, blobs)
	if s.warm.timer == nil {
		s.warm.timer = time.AfterFunc(warmTime, s.cool)
	} else {
		s.warm.timer.Reset(warmTime)
	}
	return blobs, nil
}

// cool drops what was not used for a while.
func (s *Store) cool() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.warm.names, s.warm.packs = nil, nil
}

func (w *warm) keep(name string, blobs map[content.Digest][]byte) {
	w.forget(name)
	if len(w.names) == warmPacks {
		w.forget(w.names[warmPacks-1])
	}
	if w.packs == nil {
		w.packs = map[string]map[content.Digest][]byte{}
	}
	w.names, w.packs[name] = slices.Insert(w.names, 0, name), blobs
}

func (w *warm) forget(name string) {
	w.names = slices.DeleteFunc(w.names, func(known string) bool { return known == name })
	delete(w.packs, name)
}
