SELECT workflow.start('posts', '{"customer": "Ann Example", "amount": 5}');
