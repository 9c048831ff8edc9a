package session

import (
	"fmt"

	linkv1 "github.com/periplus-fleet/periplus/api/proto/periplus/link/v1"
)

// maxCommands is how many commands are remembered, so that one that comes again is answered and not done again.
const maxCommands = 256

// commands remembers what became of commands.
type commands struct {
	order   []string
	results map[string]*string // nil while it is being done
}

func newCommands() commands { return commands{results: map[string]*string{}} }

func (c *commands) remember(id string) {
	if len(c.order) >= maxCommands {
		delete(c.results, c.order[0])
		c.order = c.order[1:]
	}
	c.order = append(c.order, id)
	c.results[id] = nil
}

func (m *Machine) receiveCommand(command *linkv1.Command) {
	id := command.GetId()
	if result, seen := m.commands.results[id]; seen {
		if result != nil {
			m.sendResult(id, *result)
		}
		return
	}
	m.commands.remember(id)
	switch deadline := command.GetDeadline(); {
	case command.GetCommand() == nil:
		m.finish(id, fmt.Sprintf("this agent (%s) does not know the command: upgrade the agent", m.config.AgentVersion))
	case deadline != nil && m.config.Now().After(deadline.AsTime()):
		m.finish(id, "the command came after its deadline")
	default:
		m.out.Do = append(m.out.Do, command)
	}
}

// Done answers a command that was to be carried out.
func (m *Machine) Done(id string, err error) Output {
	text := ""
	if err != nil {
		text = err.Error()
	}
	m.finish(id, text)
	return m.take()
}

func (m *Machine) finish(id, text string) {
	if _, known := m.commands.results[id]; known {
		m.commands.results[id] = &text
	}
	m.sendResult(id, text)
}

func (m *Machine) sendResult(id, text string) {
	if !m.Connected() {
		return
	}
	m.send(&linkv1.AgentMessage{Message: &linkv1.AgentMessage_CommandResult{CommandResult: &linkv1.CommandResult{Id: id, Error: text}}})
}
