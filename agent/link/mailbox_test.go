package link

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

func TestReportsOfABundleAreSpread(t *testing.T) {
	start := time.Unix(1000, 0)
	cases := map[string]struct {
		reason string
		// every is between reports of one bundle, over the time of lasting.
		every, lasting time.Duration
		most           int
	}{
		"Once":    {"the first goes at once", time.Hour, time.Minute, 1},
		"Seldom":  {"who reports seldom is never held back", time.Second, 10 * time.Second, 10},
		"Rolling": {"a rollout is a few a second", 10 * time.Millisecond, 10 * time.Second, reportBurst + 20},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			m, now := newMailbox(), start
			m.now = func() time.Time { return now }
			sent, reported, last := 0, 0, ""
			for ; now.Before(start.Add(c.lasting)); now = now.Add(10 * time.Millisecond) {
				if now.Sub(start)%c.every == 0 {
					reported++
					m.report(&linkv1.BundleStatus{Bundle: "a", Message: fmt.Sprint(reported), Events: []*linkv1.ObjectEvent{{Message: fmt.Sprint(reported)}}})
				}
				for _, status := range m.take().statuses {
					sent++
					last = status.GetMessage()
				}
			}
			if sent > c.most || sent == 0 || c.every >= time.Second && sent != reported {
				t.Errorf("%s: %d of %d reports were sent", c.reason, sent, reported)
			}
			now = now.Add(time.Minute)
			for _, status := range m.take().statuses {
				last = status.GetMessage()
			}
			if last != fmt.Sprint(reported) {
				t.Errorf("the last that was sent is %s of %d", last, reported)
			}
			if m.take(); len(m.buckets) > 1 {
				t.Errorf("%d buckets are kept", len(m.buckets))
			}
		})
	}
}

func TestEventsOfHeldReportsAreKept(t *testing.T) {
	m, now := newMailbox(), time.Unix(1000, 0)
	m.now = func() time.Time { return now }
	var got []string
	take := func() time.Duration {
		mail := m.take()
		for _, status := range mail.statuses {
			for _, event := range status.GetEvents() {
				got = append(got, event.GetMessage())
			}
		}
		return mail.later
	}
	var want []string
	var later time.Duration
	for i := range 10 {
		want = append(want, fmt.Sprint(i))
		m.report(&linkv1.BundleStatus{Bundle: "a", Events: []*linkv1.ObjectEvent{{Message: fmt.Sprint(i)}}})
		later = take()
	}
	if len(got) != reportBurst || later != reportEvery {
		t.Errorf("%v were sent at once, the rest after %s", got, later)
	}
	m.report(&linkv1.BundleStatus{Bundle: "b"})
	if mail := m.take(); len(mail.statuses) != 1 || mail.statuses[0].GetBundle() != "b" {
		t.Errorf("another bundle is held back: %v", mail.statuses)
	}
	now = now.Add(later)
	if later = take(); later != 0 {
		t.Errorf("more waits for %s", later)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
