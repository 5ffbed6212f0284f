// Draws what workflow.diagram() says as SVG: it reads the part of Mermaid's language that this writes, and lays out each box on its own.
'use strict';

const Diagram = (() => {
	const SVG = 'http://www.w3.org/2000/svg';
	const LINE = 17, PAD = 10, GAP = 26, STEP = 20, MOST = 30;
	const canvas = document.createElement('canvas').getContext('2d');

	function svg(name, attributes, ...children) {
		const element = document.createElementNS(SVG, name);
		for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
		element.append(...children);
		return element;
	}

	// ---- reading ----

	const decoded = (label) => (label ?? '').split('<br/>').map((line) => line.replace(/#(\d+);/g, (_, code) => String.fromCodePoint(code)).trim());

	// Break lines that are too long, at spaces if there are any.
	function wrapped(lines) {
		const out = [];
		for (const line of lines) {
			let rest = line;
			while ([...rest].length > MOST) {
				const space = rest.lastIndexOf(' ', MOST);
				const at = space > MOST / 3 ? space : [...rest].slice(0, MOST).join('').length;
				out.push(rest.slice(0, at));
				rest = rest.slice(at).trimStart();
			}
			out.push(rest);
		}
		return out;
	}

	function read(text) {
		const root = { id: 'root', children: [], edges: [], lines: [] };
		const nodes = new Map();
		const edges = [];
		let title = '', group = root, m;
		const add = (node) => {
			Object.assign(node, { parent: group, classes: [] });
			group.children.push(node);
			nodes.set(node.id, node);
			return node;
		};
		for (const line of text.split('\n')) {
			if ((m = line.match(/^title: (".*")$/))) title = JSON.parse(m[1]);
			else if ((m = line.match(/^ *subgraph (\w+)\["(.*)"\]$/))) group = add({ id: m[1], lines: wrapped(decoded(m[2])), children: [], edges: [] });
			else if (/^ *end$/.test(line)) group = group.parent;
			else if ((m = line.match(/^ *(\w+) (-->|-\.->)(?:\|"(.*)"\|)? (\w+)$/)))
				edges.push({ from: m[1], to: m[4], dashed: m[2] !== '-->', lines: m[3] ? wrapped(decoded(m[3])) : [] });
			else if ((m = line.match(/^ *(\w+)([([{>/]+)"(.*)"([)\]}\\/]+)$/)))
				add({ id: m[1], shape: m[2] + (m[2] === '[/' ? m[4][0] : ''), lines: wrapped(decoded(m[3])) });
			else if ((m = line.match(/^ *class (\S+) (\w+)$/)))
				for (const id of m[1].split(',')) nodes.get(id)?.classes.push(m[2]);
		}
		for (const edge of edges) place(edge, nodes);
		return { title, root };
	}

	// A way belongs to the box that has both ends; one from outside ends at the box that it leads into.
	function place(edge, nodes) {
		const up = (node) => { const all = []; for (; node; node = node.parent) all.unshift(node); return all; };
		const from = up(nodes.get(edge.from)), to = up(nodes.get(edge.to));
		let i = 0;
		while (i + 1 < Math.min(from.length, to.length) && from[i + 1] === to[i + 1] && from[i + 1].children && i + 2 < Math.min(from.length, to.length)) i++;
		from[i].edges.push({ ...edge, from: from[i + 1], to: to[i + 1] });
	}

	// ---- sizes ----

	function textSize(lines, bold) {
		let width = 0;
		lines.forEach((line, i) => {
			canvas.font = `${bold && i === 0 ? 'bold ' : ''}13px system-ui, sans-serif`;
			width = Math.max(width, canvas.measureText(line).width);
		});
		return { w: Math.ceil(width) + 2, h: lines.length * LINE };
	}

	function measure(node) {
		const text = textSize(node.lines, true);
		if (node.children) {
			arrange(node);
			node.title = text.h + 6;
			node.w = Math.max(node.inner.w, text.w) + 2 * PAD;
			node.h = node.inner.h + node.title + 2 * PAD;
		} else if (node.lines.join('') === '') {
			node.w = node.h = 14;
		} else {
			node.w = text.w + 2 * PAD + (['{{', '>', '[//', '[/\\', '([', '[['].includes(node.shape) ? 16 : 0);
			node.h = text.h + PAD + (node.shape === '[(' ? 12 : 0);
			if (node.shape === '{') { node.w = text.w * 1.4 + 24; node.h = text.h * 1.6 + 20; }
		}
	}

	// ---- layout: ranks from top to bottom, one beside the other within each ----

	// Ways that lead back are turned round, so that there is no loop.
	function rank(nodes, edges) {
		const seen = new Map(), order = [];
		const out = new Map(nodes.map((node) => [node, edges.filter((edge) => edge.from === node && edge.to !== node)]));
		const visit = (node) => {
			const stack = [{ node, i: 0 }];
			seen.set(node, 'open');
			while (stack.length) {
				const top = stack[stack.length - 1], edge = out.get(top.node)[top.i++];
				if (!edge) { seen.set(top.node, 'done'); order.unshift(top.node); stack.pop(); }
				else if (seen.get(edge.to) === 'open') edge.back = true;
				else if (!seen.has(edge.to)) { seen.set(edge.to, 'open'); stack.push({ node: edge.to, i: 0 }); }
			}
		};
		for (const node of nodes) if (!seen.has(node)) visit(node);
		for (const node of nodes) node.rank = 0;
		for (const node of order)
			for (const edge of edges) {
				if (edge.from === edge.to) continue;
				const [upper, lower] = edge.back ? [edge.to, edge.from] : [edge.from, edge.to];
				if (upper === node) lower.rank = Math.max(lower.rank, node.rank + 1);
			}
		// once more, since turned ways count too
		for (let changed = true, n = 0; changed && n < nodes.length; n++) {
			changed = false;
			for (const edge of edges) {
				if (edge.from === edge.to) continue;
				const [upper, lower] = edge.back ? [edge.to, edge.from] : [edge.from, edge.to];
				if (lower.rank <= upper.rank) { lower.rank = upper.rank + 1; changed = true; }
			}
		}
	}

	// Ways pass all ranks between their ends; between two ranks of steps there is one for what stands beside the ways.
	function layersOf(nodes, edges) {
		const layers = [];
		const put = (cell, y) => { (layers[y] ??= []).push(cell); cell.above = []; cell.below = []; };
		for (const node of nodes) put(node, 2 * node.rank);
		for (const edge of edges) {
			if (edge.from === edge.to) continue;
			const [upper, lower] = edge.back ? [edge.to, edge.from] : [edge.from, edge.to];
			const size = textSize(edge.lines);
			let before = upper;
			edge.cells = [upper];
			for (let y = 2 * upper.rank + 1; y <= 2 * lower.rank; y++) {
				const told = edge.lines.length > 0 && y === (edge.back ? 2 * lower.rank - 1 : 2 * upper.rank + 1);
				const cell = y === 2 * lower.rank ? lower : { w: told ? size.w + 12 : 8, h: told ? size.h + 8 : 0, told: told ? size.h + 8 : 0, way: true };
				if (cell !== lower) put(cell, y);
				before.below.push(cell);
				cell.above.push(before);
				edge.cells.push(cell);
				before = cell;
			}
		}
		for (let y = 0; y < layers.length; y++) layers[y] ??= [];
		return layers;
	}

	const mean = (cells, of) => cells.length ? cells.reduce((sum, cell) => sum + of(cell), 0) / cells.length : null;

	function order(layers) {
		const number = (layer) => layer.forEach((cell, i) => { cell.at = i; });
		layers.forEach(number);
		for (let sweep = 0; sweep < 8; sweep++) {
			const down = sweep % 2 === 0;
			for (const layer of down ? layers : [...layers].reverse()) {
				for (const cell of layer) cell.wish = mean(down ? cell.above : cell.below, (other) => other.at) ?? cell.at;
				layer.sort((a, b) => a.wish - b.wish || a.at - b.at);
				number(layer);
			}
		}
	}

	// Each wants to be in the middle of those that it leads to; the mean of two ways to make room leaves room, too.
	function spread(layers) {
		const room = (a, b) => (a.w + b.w) / 2 + (a.loop ?? 0) + (a.children || b.children ? GAP + 8 : GAP - 6);
		for (const layer of layers) {
			let x = 0;
			layer.forEach((cell, i) => { x = i ? x + room(layer[i - 1], cell) : cell.w / 2; cell.x = x; });
		}
		for (let sweep = 0; sweep < 12; sweep++) {
			for (const layer of sweep % 2 ? [...layers].reverse() : layers) {
				const wish = layer.map((cell) => mean([...cell.above, ...cell.below], (other) => other.x) ?? cell.x);
				const right = [...wish], left = [...wish];
				for (let i = 1; i < layer.length; i++) right[i] = Math.max(right[i], right[i - 1] + room(layer[i - 1], layer[i]));
				for (let i = layer.length - 2; i >= 0; i--) left[i] = Math.min(left[i], left[i + 1] - room(layer[i], layer[i + 1]));
				layer.forEach((cell, i) => { cell.x = (right[i] + left[i]) / 2; });
			}
		}
	}

	// Ways leave a step side by side, and come so, in the order of where they lead; a node that is small has one place for all.
	function findPorts(edges) {
		const ends = new Map();
		const note = (node, side, edge, towards) => {
			const key = ends.get(node) ?? { above: [], below: [] };
			key[side].push({ edge, towards });
			ends.set(node, key);
		};
		for (const edge of edges) {
			if (edge.from === edge.to) continue;
			note(edge.cells[0], 'below', edge, edge.cells[1].x);
			note(edge.cells.at(-1), 'above', edge, edge.cells.at(-2).x);
			edge.port = {};
		}
		for (const [node, sides] of ends)
			for (const [side, ways] of Object.entries(sides)) {
				const room = node.shape === '{' ? 0 : Math.min(22, (node.w - 30) / ways.length);
				ways.sort((a, b) => a.towards - b.towards);
				ways.forEach(({ edge }, i) => { edge.port[side] = room > 2 ? (i - (ways.length - 1) / 2) * room : 0; });
			}
	}

	function arrange(group) {
		for (const node of group.children) measure(node);
		// what leads to itself does so on its right side
		const loops = group.edges.filter((edge) => edge.from === edge.to);
		for (const edge of loops) edge.from.loop = Math.max(edge.from.loop ?? 0, 34 + textSize(edge.lines).w);
		rank(group.children, group.edges);
		const layers = layersOf(group.children, group.edges);
		order(layers);
		spread(layers);
		const cells = layers.flat();
		const left = Math.min(...cells.map((cell) => cell.x - cell.w / 2), 0);
		let right = 0, y = 0;
		for (const cell of cells) { cell.x -= left; right = Math.max(right, cell.x + cell.w / 2); }
		for (const edge of loops) right = Math.max(right, edge.from.x + edge.from.w / 2 + edge.from.loop);
		findPorts(group.edges);
		layers.forEach((layer, i) => {
			const height = Math.max(0, ...layer.map((cell) => cell.h));
			for (const cell of layer) {
				cell.y = y + height / 2;
				if (cell.way) cell.h = height; // it passes what stands beside it before it turns
			}
			y += height + (i < layers.length - 1 ? STEP : 0);
		});
		group.inner = { w: right, h: y };
	}

	// ---- drawing ----

	function shape(node, x, y) {
		const { w, h } = node, l = x - w / 2, r = x + w / 2, t = y - h / 2, b = y + h / 2;
		const polygon = (...points) => [svg('polygon', { points: points.map((p) => p.join(',')).join(' ') })];
		const box = (rx) => svg('rect', { x: l, y: t, width: w, height: h, rx });
		switch (node.shape) {
			case '((': case '([': return [box(h / 2)];
			case '(((': return [box(h / 2), svg('rect', { x: l - 4, y: t - 4, width: w + 8, height: h + 8, rx: h / 2 + 4, class: 'around' })];
			case '(': return [box(8)];
			case '[(': return [svg('path', { d: `M${l},${t + 6} a${w / 2},6 0 0 1 ${w},0 v${h - 12} a${w / 2},6 0 0 1 ${-w},0 z M${l},${t + 6} a${w / 2},6 0 0 0 ${w},0` })];
			case '[[': return [box(0), svg('path', { d: `M${l + 6},${t} V${b} M${r - 6},${t} V${b}` })];
			case '>': return polygon([l, t], [r, t], [r, b], [l, b], [l + 12, y]);
			case '[/\\': return polygon([l + 12, t], [r - 12, t], [r, b], [l, b]);
			case '[//': return polygon([l + 12, t], [r, t], [r - 12, b], [l, b]);
			case '{{': return polygon([l + 12, t], [r - 12, t], [r, y], [r - 12, b], [l + 12, b], [l, y]);
			case '{': return polygon([x, t], [r, y], [x, b], [l, y]);
			default: return [box(0)];
		}
	}

	function text(lines, x, y, className) {
		const element = svg('text', { class: className });
		lines.forEach((line, i) => element.append(svg('tspan', { x, y: y + (i - (lines.length - 1) / 2) * LINE + 4.5, class: i === 0 ? 'first' : '' }, line)));
		return element;
	}

	function drawEdge(edge, dx, dy, out) {
		const points = [];
		if (edge.from === edge.to) {
			const { w, h } = edge.from, x = edge.from.x + dx + w / 2, y = edge.from.y + dy;
			out.append(svg('path', { d: `M${x},${y - 8} C${x + 34},${y - 14} ${x + 34},${y + 14} ${x},${y + 8}`, class: edge.dashed ? 'way dashed' : 'way', 'marker-end': 'url(#arrow)' }));
			if (edge.lines.length) out.append(text(edge.lines, x + 30 + textSize(edge.lines).w / 2, y, 'told'));
			return;
		}
		edge.cells.forEach((cell, i) => {
			const last = i === edge.cells.length - 1;
			const x = cell.x + dx + (i === 0 ? edge.port.below : last ? edge.port.above : 0), y = cell.y + dy;
			if (i > 0) points.push([x, y - cell.h / 2]);
			if (!last) points.push([x, y + cell.h / 2]);
		});
		if (edge.back) points.reverse();
		let d = `M${points[0]}`;
		for (let i = 1; i < points.length; i++) {
			const [x0, y0] = points[i - 1], [x1, y1] = points[i], middle = (y0 + y1) / 2;
			d += x0 === x1 ? ` L${x1},${y1}` : ` C${x0},${middle} ${x1},${middle} ${x1},${y1}`;
		}
		out.append(svg('path', { d, class: edge.dashed ? 'way dashed' : 'way', 'marker-end': 'url(#arrow)' }));
		const told = edge.cells.find((cell) => cell.told);
		if (!told) return;
		out.append(svg('rect', { x: told.x + dx - told.w / 2, y: told.y + dy - told.told / 2, width: told.w, height: told.told, rx: 4, class: 'behind' }),
			text(edge.lines, told.x + dx, told.y + dy, 'told'));
	}

	function drawGroup(group, dx, dy, out) {
		for (const node of group.children) {
			const x = node.x + dx, y = node.y + dy;
			const element = svg('g', { class: ['node', node.children ? 'box' : '', ...node.classes].join(' '), 'data-step': node.lines[0] });
			if (node.children) {
				const l = x - node.w / 2, t = y - node.h / 2;
				element.append(svg('rect', { x: l, y: t, width: node.w, height: node.h, rx: 6 }), text(node.lines, x, t + 4 + node.title / 2, 'label'));
				out.append(element);
				drawGroup(node, l + (node.w - node.inner.w) / 2, t + node.title + PAD, out);
			} else {
				element.append(...shape(node, x, y), text(node.lines, x, y, 'label'));
				out.append(element);
			}
		}
		for (const edge of group.edges) drawEdge(edge, dx, dy, out);
	}

	// The SVG element of what workflow.diagram() says.
	function draw(mermaid) {
		const { title, root } = read(mermaid);
		arrange(root);
		const w = Math.ceil(root.inner.w) + 2 * PAD, h = Math.ceil(root.inner.h) + 2 * PAD;
		const out = svg('svg', { width: w, height: h, viewBox: `0 0 ${w} ${h}`, role: 'img', class: 'diagram' }, svg('title', {}, title),
			svg('defs', {}, svg('marker', { id: 'arrow', viewBox: '0 0 8 8', refX: 7, refY: 4, markerWidth: 8, markerHeight: 8, orient: 'auto' },
				svg('path', { d: 'M0,0 L8,4 L0,8 z' }))));
		drawGroup(root, PAD, PAD, out);
		return out;
	}

	return { draw, read };
})();
