/** Replies of openenv-core 0.3.0 to the environments of servers.fixture.py, to the letter. */
export interface Recording {
  /** JSON Schema of the action. */
  action: Record<string, unknown>;
  reset: string;
  /** Replies to actions, by their JSON. */
  steps: Record<string, string>;
}

const metadata = {
  additionalProperties: true,
  description: 'Additional metadata for the action',
  title: 'Metadata',
  type: 'object',
};

export const GUESS: Recording = {
  action: {
    additionalProperties: false,
    properties: { metadata, number: { maximum: 99, minimum: 0, title: 'Number', type: 'integer' } },
    required: ['number'],
    title: 'Guess',
    type: 'object',
  },
  reset: '{"type":"observation","data":{"observation":{"hint":"Guess."},"reward":null,"done":false}}',
  steps: {
    '{"number":7}':
      '{"type":"observation","data":{"observation":{"hint":"higher"},"reward":-0.125,"done":false}}',
    '{"number":13}': '{"type":"error","data":{"message":"bad luck","code":"EXECUTION_ERROR"}}',
    '{"number":100}':
      '{"type":"error","data":{"message":"Invalid message","code":"VALIDATION_ERROR","errors":[{"type":"less_than_equal","loc":["number"],"msg":"Input should be less than or equal to 99","input":100,"ctx":{"le":99},"url":"https://errors.pydantic.dev/2.14/v/less_than_equal"}]}}',
    '{"number":42}':
      '{"type":"observation","data":{"observation":{"hint":"right"},"reward":1.0,"done":true}}',
  },
};

export const DOOR: Recording = {
  action: {
    additionalProperties: false,
    description: 'Pulls levers until the door is open.',
    properties: {
      metadata,
      side: { enum: ['left', 'right'], title: 'Side', type: 'string' },
      times: { default: 1, title: 'Times', type: 'integer' },
    },
    required: ['side'],
    title: 'Lever',
    type: 'object',
  },
  reset:
    '{"type":"observation","data":{"observation":{"is_open":false,"pulled":0},"reward":null,"done":false}}',
  steps: {
    '{"side":"left","times":2}':
      '{"type":"observation","data":{"observation":{"is_open":false,"pulled":2},"reward":0.5,"done":false}}',
    '{"side":"up"}':
      '{"type":"error","data":{"message":"Invalid message","code":"VALIDATION_ERROR","errors":[{"type":"literal_error","loc":["side"],"msg":"Input should be \'left\' or \'right\'","input":"up","ctx":{"expected":"\'left\' or \'right\'"},"url":"https://errors.pydantic.dev/2.14/v/literal_error"}]}}',
    '{"side":"left"}':
      '{"type":"observation","data":{"observation":{"is_open":true,"pulled":3},"reward":0.5,"done":true}}',
  },
};

export const SHOP: Recording = {
  action: {
    additionalProperties: false,
    description:
      "Call a specific tool via MCP.\n\nThis action triggers MCP's tools/call operation with the\nspecified tool name and arguments.",
    properties: {
      metadata,
      type: {
        const: 'call_tool',
        default: 'call_tool',
        description: 'Action type discriminator',
        title: 'Type',
        type: 'string',
      },
      tool_name: { description: 'Name of the tool to call', title: 'Tool Name', type: 'string' },
      arguments: {
        additionalProperties: true,
        description: 'Arguments to pass to the tool',
        title: 'Arguments',
        type: 'object',
      },
    },
    required: ['tool_name'],
    title: 'CallToolAction',
    type: 'object',
  },
  reset: '{"type":"observation","data":{"observation":{},"reward":null,"done":false}}',
  steps: {
    '{"type":"list_tools"}':
      '{"type":"observation","data":{"observation":{"tools":[{"name":"price","description":"The price of a fruit.","input_schema":{"type":"object","additionalProperties":false,"properties":{"fruit":{"type":"string"}},"required":["fruit"]}},{"name":"buy","description":"Buys a fruit.","input_schema":{"type":"object","additionalProperties":false,"properties":{"fruit":{"type":"string"}},"required":["fruit"]}}]},"reward":0.0,"done":false}}',
    '{"type":"call_tool","tool_name":"price","arguments":{"fruit":"apple"}}':
      '{"type":"observation","data":{"observation":{"tool_name":"price","result":{"content":[{"type":"text","text":"{\\"fruit\\":\\"apple\\",\\"price\\":3}","annotations":null,"meta":null}],"structured_content":{"fruit":"apple","price":3},"meta":{"io.modelcontextprotocol/serverInfo":{"name":"shop","version":"4.2.3"}},"data":{"fruit":"apple","price":3},"is_error":false},"error":null},"reward":0.0,"done":false}}',
    '{"type":"call_tool","tool_name":"price","arguments":{"fruit":"x"}}':
      '{"type":"observation","data":{"observation":{"tool_name":"price","result":null,"error":{"error_type":"execution_error","message":"Error calling tool \'price\': \'x\'"}},"reward":0.0,"done":false}}',
    '{"type":"call_tool","tool_name":"buy","arguments":{"fruit":"pear"}}':
      '{"type":"observation","data":{"observation":{"tool_name":"buy","result":{"content":[{"type":"text","text":"thanks","annotations":null,"meta":null}],"structured_content":{"result":"thanks"},"meta":{"fastmcp":{"wrap_result":true},"io.modelcontextprotocol/serverInfo":{"name":"shop","version":"4.2.3"}},"data":"thanks","is_error":false},"error":null},"reward":1.0,"done":true}}',
  },
};

/** Refusal of a server that has as many sessions as it may; its connection is closed at once. */
export const full = (sessions: number): string =>
  `{"type":"error","data":{"message":"Server at capacity: ${sessions}/${sessions} sessions active. Cannot accept new connections.","code":"CAPACITY_REACHED","active_sessions":${sessions},"max_sessions":${sessions}}}`;
