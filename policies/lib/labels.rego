# Labels and annotations of objects that may have none.
package lib.periplus.labels

# of an object, {} where it has none.
of(o) := object.get(o, ["metadata", "labels"], {})

annotations(o) := object.get(o, ["metadata", "annotations"], {})

# missing are those of the names that the object has no label for.
missing(o, names) := {name | some name in names; not name in object.keys(of(o))}
