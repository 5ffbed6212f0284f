-- Processes of two versions each, and one that ends at once.
SELECT workflow.define('plain', '{"steps": [{"step": "a", "wait": true, "timeout": "10 days"}]}');
SELECT workflow.define('plain', '{"steps": [{"step": "b", "wait": true, "timeout": "10 days"}]}');
SELECT workflow.define('events', '{"steps": [{"step": "a", "first_of": [{"message": "m", "key": "${$.i}", "next": "c"}, {"after": "5 days", "next": "c"}],
    "catch": [{"after": "1 day", "interrupt": false, "next": "c"}]}, {"step": "c", "end": true}]}');
SELECT workflow.define('events', '{"steps": [{"step": "b", "first_of": [{"after": "6 days", "next": "c"}, {"message": "m", "key": "${$.i}", "next": "c"}],
    "catch": [{"signal": "s", "interrupt": false, "next": "c"}, {"after": "1 day", "interrupt": false, "next": "c"}]}, {"step": "c", "end": true}]}');
SELECT workflow.define('other', '{"steps": [{"step": "a", "wait": true}]}');
SELECT workflow.define('ended', '{"steps": [{"step": "a", "set": {"n": 1}}]}');
