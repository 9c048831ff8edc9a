# Words that rules of health share.
package health.lib

ready := {"status": "Ready", "message": ""}

progressing(message) := {"status": "Progressing", "message": message}

failed(message) := {"status": "Failed", "message": message}

# condition of a type, where the object has it.
condition(it, type) := [c | some c in it.status.conditions; c.type == type][0]

is_true(it, type) if condition(it, type).status == "True"

# behind: the controller reported on an older generation.
behind(it) if to_number(it.status.observedGeneration) < it.metadata.generation

behind(it) if {
	some c in it.status.conditions
	c.observedGeneration < it.metadata.generation
	c.type in {"Ready", "Available", "Accepted", "Programmed"}
}

waiting := progressing("its controller has not reported on the newest version of it yet")

# say a condition in words.
say(c) := c.message if c.message != ""

else := sprintf("%s is %s: %s", [c.type, c.status, c.reason]) if c.reason != ""

else := sprintf("%s is %s", [c.type, c.status])

# by one condition: True is ready; False is a failure where its reason is among those given, "*" for any.
by(it, type, failures) := waiting if behind(it)

else := ready if is_true(it, type)

else := failed(say(c)) if {
	c := condition(it, type)
	c.status == "False"
	fails(reason(c), failures)
}

else := progressing(say(c)) if c := condition(it, type)

else := progressing(sprintf("its controller has not reported %s yet", [type]))

fails(_, failures) if "*" in failures

fails(reason, failures) if reason in failures

# among says how an object is by a word of its status.
among(word, good, bad, message) := ready if word in good

else := failed(message) if word in bad

else := progressing(message)

# told is the text where there is one, else the state in words.
told(text, _) := text if text != ""

told("", state) := sprintf("it is %s", [state]) if state != ""

told("", "") := "it has not reported its state yet"

reason(c) := object.get(c, "reason", "")

# unless: like by, but False is a failure save for the reasons given, which pass by themselves.
unless(it, type, passing) := waiting if behind(it)

else := failed(say(c)) if {
	c := condition(it, type)
	c.status == "False"
	not reason(c) in passing
}

else := by(it, type, [])
