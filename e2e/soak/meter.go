package main

import (
	"slices"
	"time"

	"github.com/periplus-fleet/periplus/e2e/member"
)

// warmUp of an agent's life, in which its memory fills and is no measurement.
const warmUp = time.Minute

// meter follows what the agent takes of the machine.
type meter struct {
	began time.Time
	// points of this life, one a round; samples of this round.
	points  []point
	samples []float64
	most    float64
	first   member.Usage
	latest  member.Usage
	// until is the time of the latest.
	from, until time.Time
}

// newLife forgets the agent that ended.
func (m *meter) newLife() { *m = meter{} }

// round ends the one before.
func (m *meter) round() {
	if len(m.samples) > 0 {
		slices.Sort(m.samples)
		m.points = append(m.points, point{m.until.Sub(m.began).Hours(), m.samples[len(m.samples)/2] / mib})
		m.samples = nil
	}
}

func (m *meter) sample(agent *member.Agent) error {
	usage, err := agent.Usage()
	if err != nil {
		return err
	}
	now := time.Now()
	m.latest, m.until = usage, now
	if now.Sub(agent.Started) < warmUp {
		return nil
	}
	if m.from.IsZero() {
		m.began, m.from, m.first = agent.Started, now, usage
	}
	m.samples = append(m.samples, float64(usage.RSS))
	m.most = max(m.most, float64(usage.RSS)/mib)
	return nil
}

func (m *meter) last() float64 { return float64(m.latest.RSS) }

func (m *meter) memory() memory {
	m.round()
	out := memory{Most: m.most, Points: len(m.points)}
	if len(m.points) == 0 {
		return out
	}
	values := make([]float64, 0, len(m.points))
	for _, p := range m.points {
		values = append(values, p.value)
	}
	slices.Sort(values)
	out.Median, out.Minutes = values[len(values)/2], m.until.Sub(m.from).Minutes()
	if per, within, ok := slope(m.points); ok {
		out.SlopeMiBPerHour, out.Within, out.Growing = &per, &within, per-within > 0
	}
	return out
}

// millicores of the agent's processor time under churn.
func (m *meter) millicores() float64 {
	wall := m.until.Sub(m.from).Seconds()
	if m.from.IsZero() || wall <= 0 {
		return 0
	}
	return (m.latest.CPU - m.first.CPU).Seconds() / wall * 1000
}
