# Are the columns of `visit` and `instance`, and of their histories, the same in 10_tables.sql, in store/columns.c, which reads and
# writes them, and in store/partition.c, which copies the histories? All three files are given.

function compare(table, a, b, file, name)
{
	for (name in a)
		if (name ~ "^" table " " && !(name in b))
			wrong("column " name " is missing in " file)
}

function wrong(text)
{
	print "workflow: " text
	failed = 1
}

/^static const WfTableColumn [a-z]+_columns\[\]/ { struct = $4; sub(/_columns.*/, "", struct) }
struct != "" && /^\t\{"/ {
	split($0, part, "\"")
	if (!/WF_STORED_NOT/)
		c[struct " " part[2]] = 1
	if (part[4] != "" && part[3] !~ /NULL/)
		c[struct "_history " part[4]] = 1
}

/^\t\[WF_(VISIT|INSTANCE)_HISTORY\]/ { copied = /VISIT/ ? "visit_history" : "instance_history" }
copied != "" && /"instance, / {
	split($0, part, "\"")
	n = split(part[2], columns, ", ")
	for (i = 1; i <= n; i++)
		p[copied " " columns[i]] = 1
	copied = ""
}

/^\};/ { struct = "" }

/^CREATE TABLE workflow_data\.(visit|instance)(_history)? \($/ { table = $3; sub(/.*\./, "", table) }
table != "" && /^    [a-z_]+ / && $1 != "stored_at" { sql[table " " $1] = 1 }
/^\)/ { table = "" }

END {
	if (!("visit step" in c) || !("visit_history step" in p) || !("instance_history status" in sql))
		wrong("there are no columns to compare")
	split("visit instance visit_history instance_history", tables, " ")
	for (i in tables)
	{
		compare(tables[i], sql, c, "columns.c")
		compare(tables[i], c, sql, "10_tables.sql")
	}
	compare("visit_history", sql, p, "partition.c")
	compare("visit_history", p, sql, "10_tables.sql")
	compare("instance_history", sql, p, "partition.c")
	compare("instance_history", p, sql, "10_tables.sql")
	exit failed
}
